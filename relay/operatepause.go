package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
)

const pausePrefix = "pause/"

// maxPauses bounds the pauses in force: each is compared with each new destination.
const maxPauses = 1000

// pauseList is the pauses in force, kept as notes.
type pauseList struct {
	notes Notes
	mu    sync.Mutex
	all   []Pause
}

func (l *pauseList) load(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, err := range l.notes.Recall(ctx, pausePrefix) {
		if err != nil {
			return fmt.Errorf("read the pauses: %w", err)
		}
		var p Pause
		if err := json.Unmarshal(n.Value, &p); err != nil {
			// That there was one is known. Who paused it did so for a reason.
			p = Pause{Destination: n.Key[len(pausePrefix):], Author: "unknown", Reason: "the note of this pause cannot be read: " + err.Error()}
		}
		l.all = append(l.all, p)
	}
	return nil
}

func (l *pauseList) list() []Pause {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// set puts a pause in place of the one for the same destination, or drops that for nil. The
// note comes first: what is in force outlives a restart. It says whether there was one.
func (l *pauseList) set(ctx context.Context, destination string, p *Pause) (was bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.all, func(q Pause) bool { return q.Destination == destination })
	if p != nil && i < 0 && len(l.all) >= maxPauses {
		return false, fmt.Errorf("%w: there are %d pauses already", ErrOrder, maxPauses)
	}
	note := Note{Key: pausePrefix + destination}
	if p != nil {
		if note.Value, err = json.Marshal(p); err != nil {
			return false, err
		}
	}
	if err := l.notes.Remember(ctx, note); err != nil {
		return false, err
	}
	l.all = slices.Clone(l.all)
	switch {
	case p == nil && i >= 0:
		l.all = slices.Delete(l.all, i, i+1)
	case p != nil && i >= 0:
		l.all[i] = *p
	case p != nil:
		l.all = append(l.all, *p)
	}
	return i >= 0, nil
}

// Pause stops deliveries to destinations, from now on and across restarts. p.Since is filled in.
// A pause of the same destination is replaced.
func (o *Operator) Pause(ctx context.Context, p Pause) error {
	if p.Destination == "" || p.Author == "" || p.Reason == "" {
		return fmt.Errorf("pause: %w: a destination, an author and a reason are needed", ErrOrder)
	}
	p.Since = o.s.o.Now()
	if _, err := o.pauses.set(ctx, p.Destination, &p); err != nil {
		return fmt.Errorf("pause %s: %w", p.Destination, err)
	}
	o.s.setPauses(o.pauses.list())
	return o.record(ctx, Entry{Action: "pause", Destination: p.Destination, Author: p.Author, Reason: p.Reason})
}

// Resume lifts the pause of that destination or pattern, which is the one that was paused, and
// says whether there was one.
func (o *Operator) Resume(ctx context.Context, destination, author, reason string) (bool, error) {
	if author == "" {
		return false, fmt.Errorf("resume: %w: an author is needed", ErrOrder)
	}
	was, err := o.pauses.set(ctx, destination, nil)
	if err != nil || !was {
		return false, err
	}
	o.s.setPauses(o.pauses.list())
	return true, o.record(ctx, Entry{Action: "resume", Destination: destination, Author: author, Reason: reason})
}

// Pauses gives the pauses in force.
func (o *Operator) Pauses() []Pause { return o.pauses.list() }

// RetryDestination has the way to a destination tried at once, whatever closed its gate, and
// whatever a Transport that is a Retrier waits for.
func (o *Operator) RetryDestination(to Destination) {
	if t, ok := o.s.live().Transport.(Retrier); ok {
		t.Retry(to)
	}
	o.s.probeNow(to)
}
