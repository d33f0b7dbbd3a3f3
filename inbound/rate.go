package inbound

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"postrider/inbound/auth"
	"postrider/relay"
)

// metersKept is how many meters are remembered for sure.
const metersKept = 50_000

// meters measure what clients, users and senders do. A meter is one moment, that at which
// the bucket will have leaked empty: the algorithm is the generic cell rate algorithm. They are in
// two generations: when the younger has metersKept, the older, of which nothing has been seen for
// so many others, is forgotten.
type meters struct {
	now func() time.Time

	mu         sync.Mutex
	young, old map[meter]time.Time
}

// meter names what is measured. Of network and name one is set.
type meter struct {
	what    string
	network netip.Prefix
	name    string
}

// claim is one more on a meter, if its rate allows it.
type claim struct {
	meter  meter
	rate   auth.Rate
	reason relay.Reason
}

func newMeters(now func() time.Time) *meters {
	return &meters{now: now, young: map[meter]time.Time{}, old: map[meter]time.Time{}}
}

// take makes all of the claims, or none and returns the one that there is no room for. For
// those that are to be made later there must be room.
func (m *meters) take(claims []claim, later ...claim) *claim {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for _, c := range slices.Concat(claims, later) {
		if m.empty(c, now).Sub(now) > c.rate.Per {
			return &c
		}
	}
	m.spend(claims, now)
	return nil
}

// makeLater makes claims that there was room for.
func (m *meters) makeLater(claims []claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spend(claims, m.now())
}

func (m *meters) spend(claims []claim, now time.Time) {
	for _, c := range claims {
		m.put(c.meter, m.empty(c, now))
	}
}

// empty is when the bucket would have leaked empty with the claim in it.
func (m *meters) empty(c claim, now time.Time) time.Time {
	at, ok := m.young[c.meter]
	if !ok {
		at = m.old[c.meter]
	}
	if at.Before(now) {
		at = now
	}
	return at.Add(c.rate.Per / time.Duration(c.rate.N))
}

func (m *meters) put(key meter, at time.Time) {
	if len(m.young) >= metersKept {
		m.young, m.old = make(map[meter]time.Time), m.young
	}
	m.young[key] = at
}

// claims are what a session's next message, or recipient, is measured as.
func (t *transaction) claims(what string, client, user auth.Rate) []claim {
	var claims []claim
	if network := networkOf(t.s.origin.Client); client.N > 0 && network.IsValid() {
		claims = append(claims, claim{meter{what: what + " of client", network: network}, client, relay.ReasonRatePerClient})
	}
	if t.s.origin.User != "" && user.N > 0 {
		claims = append(claims, claim{meter{what: what + " of user", name: t.s.origin.User}, user, relay.ReasonRatePerUser})
	}
	return claims
}

// ofSender are made when a recipient has been accepted: who may not relay must not use up what
// others may send in their own name.
func (t *transaction) ofSender(what string, rate auth.Rate) []claim {
	from := t.sender
	if rate.N <= 0 || from.IsNull() {
		return nil
	}
	return []claim{{meter{what: what + " of sender", name: strings.ToLower(from.String())}, rate, relay.ReasonRatePerSender}}
}

// meterSender measures an accepted recipient, and the message with its first one.
func (t *transaction) meterSender() {
	l, m := &t.s.limits, t.s.server.meters
	m.makeLater(t.ofSender("recipients", l.RecipientRatePerSender))
	if t.recipients == 0 {
		m.makeLater(t.ofSender("messages", l.RatePerSender))
	}
}

// own is what the session's user has been given; it comes before what all users have.
func (t *transaction) own() auth.Identity {
	if t.s.identity == nil {
		return auth.Identity{}
	}
	return *t.s.identity
}

// meterMessage counts a message, or says why there cannot be one now. Mail over a rate
// waits at the client; it is never lost.
func (t *transaction) meterMessage() *relay.Reply {
	l := &t.s.limits
	own := t.own()
	over := t.s.server.meters.take(t.claims("messages", l.RatePerClient, cmp.Or(own.Rate, l.RatePerUser)), t.ofSender("messages", l.RatePerSender)...)
	return over.reply(&replyRate)
}

// meterRecipient counts a recipient, or says why the message cannot have one more now.
func (t *transaction) meterRecipient() *relay.Reply {
	l := &t.s.limits
	own := t.own()
	over := t.s.server.meters.take(t.claims("recipients", l.RecipientRatePerClient, cmp.Or(own.Quota, l.RecipientRatePerUser)), t.ofSender("recipients", l.RecipientRatePerSender)...)
	return over.reply(&replyRecipientRate)
}

// reply says that there is no room for the claim; there is room for nil.
func (c *claim) reply(reply *relay.Reply) *relay.Reply {
	if c == nil {
		return nil
	}
	return reply.For(c.reason).Because(fmt.Errorf("over the rate of %s for %s", c.rate, c.meter.what))
}
