package suppression

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"postrider/relay"
)

// Tally is what a change came to.
type Tally struct {
	// Changed were put on the list or taken off it; Unchanged were as wanted before.
	Changed, Unchanged int
}

// Errors of changes.
var (
	// ErrOff says that there is no list: nothing would heed it.
	ErrOff = errors.New("the suppression list is off: suppression.keep is not set")
	// ErrFull says that the list is full of what operators have put there.
	ErrFull = errors.New("the suppression list is full")
)

// Add puts entries on the list on behalf of an operator, all of them or, where one makes no sense,
// none; the error wraps ErrEntry then. An entry without Since begins now, one without Until lasts.
// With dry nothing changes. When it returns nil, the list is written.
func (l *List) Add(ctx context.Context, entries []Entry, dry bool) (Tally, error) {
	var faults []error
	for i := range entries {
		e := &entries[i]
		if err := e.normalize(); err != nil {
			faults = append(faults, err)
		} else if e.Author == "" {
			faults = append(faults, fmt.Errorf("%w: %s: an author is needed", ErrEntry, e.Address))
		}
	}
	if len(faults) > 0 {
		return Tally{}, errors.Join(faults...)
	}
	tally, err := l.addAll(entries, dry)
	if dry {
		return tally, err
	}
	return tally, errors.Join(err, l.write(ctx))
}

func (l *List) addAll(entries []Entry, dry bool) (t Tally, err error) {
	now := l.o.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.terms.Keep <= 0 {
		return t, ErrOff
	}
	for _, e := range entries {
		if e.Since.IsZero() {
			e.Since = plain(now)
		}
		old := l.all[e.key()]
		switch {
		case old != nil && old.in(now) && old.Author != "" && old.Reason == e.Reason && old.Until.Equal(e.Until), !e.in(now):
			t.Unchanged++
			continue
		case !dry && !l.put(&e):
			return t, fmt.Errorf("%w: there are %d entries", ErrFull, len(l.all))
		}
		t.Changed++
	}
	return t, nil
}

// Remove takes addresses off the list: in one scope, or in all of them for "". With dry nothing
// changes. When it returns nil, the list is written.
func (l *List) Remove(ctx context.Context, addresses []string, scope string, dry bool) (Tally, error) {
	wanted := make(map[string]bool)
	for _, text := range addresses {
		a, err := relay.ParseAddress(strings.TrimSpace(text))
		if err != nil || a.IsNull() {
			return Tally{}, fmt.Errorf("%w: %q is not an address", ErrEntry, text)
		}
		wanted[folded(a)] = true
	}
	if scope != "" {
		var err error
		if scope, err = parseScope(scope); err != nil {
			return Tally{}, err
		}
	}
	tally := l.removeAll(wanted, scope, dry)
	if dry {
		return tally, nil
	}
	return tally, l.write(ctx)
}

func (l *List) removeAll(wanted map[string]bool, scope string, dry bool) Tally {
	now := l.o.Now()
	found := make(map[string]bool)
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, e := range l.all {
		if !wanted[k.address] || scope != "" && k.scope != scope {
			continue
		}
		found[k.address] = found[k.address] || e.in(now)
		if !dry {
			l.drop(k)
		}
	}
	var t Tally
	for address := range wanted {
		if found[address] {
			t.Changed++
		} else {
			t.Unchanged++
		}
	}
	return t
}

// Times of Run: ended entries are dropped, and a write that failed is tried again.
const (
	sweepEvery = time.Hour
	writeAgain = 10 * time.Second
)

// Run writes what next hops have said, and drops what has ended, until ctx ends; then it writes a
// last time. What a crash keeps it from writing the next refusal says again.
func (l *List) Run(ctx context.Context) error {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return l.write(context.WithoutCancel(ctx))
		case <-sweep.C:
			l.mu.Lock()
			l.dropEnded()
			l.mu.Unlock()
		case <-l.changed:
			if err := l.write(ctx); err != nil && ctx.Err() == nil {
				l.o.Fault(relay.Fault{Doing: "keep the suppression list", Err: err})
				l.pause(ctx)
			}
		}
	}
}

// pause waits before the next write.
func (l *List) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(writeAgain):
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// write brings the notes up to the list. What fails is left for the next time.
func (l *List) write(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	for {
		notes, keys, err := l.pending()
		if err != nil || len(notes) == 0 {
			return err
		}
		if err := l.o.Notes.Remember(ctx, notes...); err != nil {
			l.mu.Lock()
			for _, k := range keys {
				l.unwritten[k] = struct{}{}
			}
			l.mu.Unlock()
			return fmt.Errorf("keep the suppression list: %w", err)
		}
	}
}

// batch is how many notes are written at once.
const batch = 500

// pending takes the next notes to write.
func (l *List) pending() (notes []relay.Note, keys []key, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.unwritten {
		if len(notes) == batch {
			break
		}
		n := relay.Note{Key: k.note()}
		if e := l.all[k]; e != nil {
			if n.Value, err = json.Marshal(e); err != nil {
				return nil, nil, fmt.Errorf("keep the suppression of %s: %w", e.Address, err)
			}
		}
		notes, keys = append(notes, n), append(keys, k)
		delete(l.unwritten, k)
	}
	return notes, keys, nil
}
