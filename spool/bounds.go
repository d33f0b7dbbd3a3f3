package spool

import (
	"hash/maphash"
	"sync"
)

// bins remember, for each bin and flow, a key before which nothing is left to claim, so
// that a claim does not wade through what was delivered and removed before.
//
// A bound is raised under its lock by who has looked below it, and lowered after a key
// has become visible and claimable. A claim holds the lock from before its iterator is
// made until it has raised the bound and taken its claims; a claim whose delivery is gone
// is dropped under the same lock. So no iterator is ever older than a change that it
// should know of, when it comes to what may be claimed.
type bins struct {
	seed    maphash.Seed
	stripes [64]binStripe
}

type binStripe struct {
	mu     sync.Mutex
	bounds map[string]string
}

// maxBounds is how many bounds a stripe remembers. One that is forgotten costs a slow
// claim, nothing else.
const maxBounds = 1024

func (b *bins) init() {
	b.seed = maphash.MakeSeed()
	for i := range b.stripes {
		b.stripes[i].bounds = make(map[string]string)
	}
}

func (b *bins) stripe(prefix []byte) *binStripe {
	return &b.stripes[maphash.Bytes(b.seed, prefix)%uint64(len(b.stripes))]
}

// bound gives the key from which to look. The stripe is locked.
func (t *binStripe) bound(prefix []byte) []byte {
	if bound, ok := t.bounds[string(prefix)]; ok {
		return []byte(bound)
	}
	return prefix
}

// raise notes that nothing below the key can be claimed. The stripe is locked.
func (t *binStripe) raise(prefix, key []byte) {
	if _, ok := t.bounds[string(prefix)]; !ok && len(t.bounds) >= maxBounds {
		for other := range t.bounds {
			delete(t.bounds, other)
			break
		}
	}
	t.bounds[string(prefix)] = string(key)
}

// lower notes that the key can be claimed. The stripe is locked.
func (t *binStripe) lower(prefix []byte, key string) {
	if bound, ok := t.bounds[string(prefix)]; ok && key < bound {
		t.bounds[string(prefix)] = key
	}
}

// binOf gives the part of a delivery's key that names the bin and flow.
func binOf(key string) []byte { return []byte(key[:max(len(key)-placeTail, 0)]) }

// head remembers the first key of a space that loses its keys at that end.
type head struct {
	mu sync.Mutex
	// first is not above any key of the space.
	first string
}

// begin gives the first key.
func (h *head) begin() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.first
}

// lower notes a key that has become visible.
func (h *head) lower(key []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if string(key) < h.first {
		h.first = string(key)
	}
}
