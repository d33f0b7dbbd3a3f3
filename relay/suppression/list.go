package suppression

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"postrider/relay"
)

// notePrefix begins the keys of the notes.
const notePrefix = "suppression/"

// Options is what a List needs. Notes and Now must be set.
type Options struct {
	Terms
	Notes relay.Notes
	Now   func() time.Time
	// Fault is told what goes wrong; nil means nobody is.
	Fault func(relay.Fault)
}

// Terms can change while the list is in use.
type Terms struct {
	// Keep is how long a recipient is suppressed after the latest refusal; 0 switches the list off:
	// nobody is suppressed then, and what is on it stays there.
	Keep time.Duration
	// Scope is that of what next hops say: ScopeGlobal, ScopeDomain or ScopeUser. Mail of nobody
	// known as a user counts by its domain. Default ScopeGlobal.
	Scope string
	// Most bounds the list. When it is full, what next hops have said goes first, the oldest of it.
	// Default DefaultMost.
	Most int
}

// DefaultMost is the length of a list in entries of some hundred bytes.
const DefaultMost = 100_000

// List is who is suppressed. It is safe for use by several goroutines.
type List struct {
	o Options
	// changed wakes who writes.
	changed chan struct{}
	// writing is held by the one who writes: what is written later is newer.
	writing sync.Mutex

	mu    sync.Mutex
	terms Terms
	all   map[key]*Entry // an entry is never changed, but replaced
	// unwritten are those whose notes are not as they should be.
	unwritten map[key]struct{}
}

var _ relay.Suppressions = (*List)(nil)

// New reads the list from its notes, and starts nothing. A note that cannot be read is left alone.
func New(ctx context.Context, o Options) (*List, error) {
	if o.Notes == nil || o.Now == nil {
		return nil, errors.New("suppression: notes and clock must be set")
	}
	if o.Fault == nil {
		o.Fault = func(relay.Fault) {}
	}
	l := &List{o: o, changed: make(chan struct{}, 1), all: make(map[key]*Entry), unwritten: make(map[key]struct{})}
	l.Reload(o.Terms)
	for n, err := range o.Notes.Recall(ctx, notePrefix) {
		if err != nil {
			return nil, fmt.Errorf("suppression: %w", err)
		}
		e := new(Entry)
		if err := json.Unmarshal(n.Value, e); err != nil {
			o.Fault(relay.Fault{Doing: "read a suppression", Err: fmt.Errorf("%q: %w", n.Key, err)})
			continue
		}
		l.all[e.key()] = e
	}
	return l, nil
}

// Reload puts other terms in force. What is on the list keeps its end.
func (l *List) Reload(t Terms) {
	t.Scope, t.Most = cmp.Or(t.Scope, ScopeGlobal), cmp.Or(t.Most, DefaultMost)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.terms = t
}

// Suppressed refuses a recipient who is on the list, for all or for this message's sender. Notices,
// which have no sender, and mail for postmasters are always let through.
func (l *List) Suppressed(m *relay.Message, to relay.Address) *relay.Reply {
	if m.Envelope.Sender.IsNull() || exempt(to) {
		return nil
	}
	address, now := folded(to), l.o.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.terms.Keep <= 0 || len(l.all) == 0 {
		return nil
	}
	for _, scope := range []string{ScopeGlobal, scopeOf(ScopeDomain, m.Envelope.Sender.Domain), scopeOf(ScopeUser, m.Origin.User)} {
		if e := l.all[key{address, scope}]; e != nil && e.in(now) {
			return e.reply()
		}
	}
	return nil
}

// put sets an entry. mu is held. It says whether there was room.
func (l *List) put(e *Entry) bool {
	if l.all[e.key()] == nil && len(l.all) >= l.terms.Most && !l.makeRoom() {
		return false
	}
	l.all[e.key()] = e
	l.touch(e.key())
	return true
}

// touch has the note of an entry written. mu is held.
func (l *List) touch(k key) {
	l.unwritten[k] = struct{}{}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// roomShare is the part of a full list that goes at once, so that room is not made for each entry.
const roomShare = 64

// makeRoom drops what is over, or else what next hops have said, the oldest of it. mu is held.
func (l *List) makeRoom() bool {
	before := len(l.all)
	l.dropEnded()
	if len(l.all) < before {
		return true
	}
	var fed []*Entry
	for _, e := range l.all {
		if e.Author == "" {
			fed = append(fed, e)
		}
	}
	slices.SortFunc(fed, func(a, b *Entry) int { return a.Until.Compare(b.Until) })
	for _, e := range fed[:min(len(fed), l.terms.Most/roomShare+1)] {
		l.drop(e.key())
	}
	return len(fed) > 0
}

func (l *List) drop(k key) {
	delete(l.all, k)
	l.touch(k)
}

func (l *List) dropEnded() {
	now := l.o.Now()
	for k, e := range l.all {
		if !e.in(now) {
			l.drop(k)
		}
	}
}

// Entries are those in force whose address is like a pattern, in order of address and scope.
func (l *List) Entries(pattern string) []Entry {
	now := l.o.Now()
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.all))
	l.mu.Unlock()
	var entries []Entry
	for _, e := range all {
		if e.in(now) && relay.Like(pattern, e.Address) {
			entries = append(entries, *e)
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Scope, b.Scope))
	})
	return entries
}

// Figures are how many there are.
func (l *List) Figures() []relay.Figure {
	l.mu.Lock()
	defer l.mu.Unlock()
	return []relay.Figure{{Name: "suppressions", Help: "Recipients on the suppression list.", Value: float64(len(l.all))}}
}
