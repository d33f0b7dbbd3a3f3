package auth

import (
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// maxCounted bounds the networks, users and pairs of them whose failures are remembered.
const maxCounted = 60_000

// longestDelay is what a failed attempt waits for its answer at most.
const longestDelay = 10 * time.Second

// failures counts failed attempts by client network, by user, and by both. A user who has
// authenticated from a network before is held to that pair's failures alone there:
// neither a guesser elsewhere nor a neighbour with a wrong password locks anybody out.
type failures struct {
	rate  Rate
	first time.Duration // the delay of the first failure; each one more doubles it
	now   func() time.Time

	mu     sync.Mutex
	counts *recent[failureKey, failureCount]
}

// failureKey has a network, a user or both.
type failureKey struct{ network, user string }

type failureCount struct {
	level
	// friend says that the user has authenticated from the network.
	friend bool
}

func newFailures(rate Rate, first time.Duration, now func() time.Time) *failures {
	if rate.N < 0 {
		rate = Rate{N: math.MaxInt32, Per: time.Hour} // more than anybody can try
	}
	return &failures{rate: rate, first: first, now: now, counts: newRecent[failureKey, failureCount](maxCounted)}
}

// pairOf gives the key of the attempt's network and user. There are many ways to write a name
// that a directory takes for the same.
func pairOf(client netip.Addr, user string) failureKey {
	return failureKey{networkOf(client), fold(user)}
}

// fold writes a name in one way.
func fold(user string) string { return strings.ToLower(strings.Join(strings.Fields(user), " ")) }

// networkOf is what one client may be: an IPv4 address, or an IPv6 /64.
func networkOf(client netip.Addr) string {
	if !client.IsValid() {
		return "local"
	}
	client = client.Unmap()
	if client.Is4() {
		return client.String()
	}
	network, err := client.WithZone("").Prefix(64)
	if err != nil {
		return client.String()
	}
	return network.String()
}

func (k failureKey) byNetwork() failureKey { return failureKey{network: k.network} }
func (k failureKey) byUser() failureKey    { return failureKey{user: k.user} }

// count gives what a key counts now. The caller has the lock.
func (f *failures) count(key failureKey, now time.Time) failureCount {
	c, ok := f.counts.get(key)
	if !ok {
		c.at = now
	}
	c.level = c.drained(f.rate, now)
	return c
}

// over says whether the network or the user has failed too often to be heard now.
func (f *failures) over(pair failureKey) (network, user bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if both := f.count(pair, now); both.friend {
		return false, both.full(f.rate)
	}
	return f.count(pair.byNetwork(), now).full(f.rate), f.count(pair.byUser(), now).full(f.rate)
}

// fail counts a failure.
func (f *failures) fail(pair failureKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	for _, key := range []failureKey{pair, pair.byNetwork(), pair.byUser()} {
		c := f.count(key, now)
		c.amount++
		f.counts.put(key, c)
	}
}

// delay is how long the answer to a failure is to wait.
func (f *failures) delay(pair failureKey) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	both := f.count(pair, now)
	n := both.amount
	if !both.friend {
		n = max(n, f.count(pair.byNetwork(), now).amount, f.count(pair.byUser(), now).amount)
	}
	d := f.first
	for ; n > 1 && d < longestDelay; n-- {
		d *= 2
	}
	return min(d, longestDelay)
}

// succeed forgives what the pair has failed, and nobody else's failures: one good account
// does not buy guesses at others.
func (f *failures) succeed(pair failureKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	forgiven := f.count(pair, now).amount
	for _, key := range []failureKey{pair.byNetwork(), pair.byUser()} {
		if c := f.count(key, now); c.amount > forgiven {
			c.amount -= forgiven
			f.counts.put(key, c)
		} else {
			f.counts.drop(key)
		}
	}
	f.counts.put(pair, failureCount{level: level{at: now}, friend: true})
}
