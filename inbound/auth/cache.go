package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// maxCached bounds the users who are remembered.
const maxCached = 10_000

// cache remembers for a short time who was let in with what, as many clients authenticate
// anew for each message, and a check costs as much as relaying a thousand of them. Of
// passwords it has keyed hashes, and the key is new at each start. Refusals are not
// remembered: who has just been given a password gets in with it.
type cache struct {
	ttl time.Duration
	now func() time.Time
	key []byte

	mu      sync.Mutex
	entries *recent[[sha256.Size]byte, cached]
}

type cached struct {
	id    *Identity
	until time.Time
	// version is that of the users file that was asked.
	version *table
}

func newCache(ttl time.Duration, now func() time.Time) *cache {
	return &cache{ttl: ttl, now: now, key: newSalt(), entries: newRecent[[sha256.Size]byte, cached](maxCached)}
}

// hash names an attempt. A backend may decide by client and listener too.
func (c *cache) hash(a Attempt) (h [sha256.Size]byte) {
	mac := hmac.New(sha256.New, c.key)
	fmt.Fprintf(mac, "%q %q %q %s", a.User, a.Password, a.Listener, networkOf(a.Client))
	mac.Sum(h[:0])
	return h
}

func (c *cache) get(a Attempt, version *table) *Identity {
	if c.ttl <= 0 {
		return nil
	}
	h := c.hash(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries.get(h)
	if !ok || e.version != version || !c.now().Before(e.until) {
		return nil
	}
	return e.id
}

func (c *cache) put(a Attempt, version *table, id *Identity) {
	if c.ttl <= 0 {
		return
	}
	h := c.hash(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.put(h, cached{id, c.now().Add(c.ttl), version})
}
