package relay

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Quarantine is what a Spool has set aside because it could not be read. All methods are safe
// for use by several goroutines.
type Quarantine interface {
	// Aside yields the records that were set aside, in the order of their keys.
	Aside(ctx context.Context) iter.Seq2[Aside, error]
	// Raw returns such a record as it was, ErrNotFound when it is not there.
	Raw(ctx context.Context, key string) ([]byte, error)
	// Restore puts back what was set aside of a message, if it can be read now, and returns the
	// deliveries, which nobody has claimed. ErrCorrupt says that it cannot be read, and
	// ErrNotFound that there is nothing.
	Restore(ctx context.Context, id ID) ([]Delivery, error)
	// Forget removes what was set aside of a message, and the message with its body where
	// nothing is left to deliver of it. It returns how many records there were.
	Forget(ctx context.Context, id ID) (int, error)
}

// Aside is a record that was set aside.
type Aside struct {
	// Key names the record.
	Key string
	// Message is the message that it belongs to; zero where that cannot be told.
	Message ID
	// What is message, delivery, location, part or history; "" where that cannot be told.
	What   string
	Reason string
	At     time.Time
	// Size is that of the record in bytes.
	Size int
}

// Restore puts back what was set aside of a message, and has it delivered.
func (o *Operator) Restore(ctx context.Context, q Quarantine, id ID, author, reason string) (int, error) {
	if author == "" || reason == "" {
		return 0, fmt.Errorf("restore: %w: an author and a reason are needed", ErrOrder)
	}
	ds, err := q.Restore(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("restore message %s: %w", id, err)
	}
	o.s.noteAll(ds)
	sel := &Selector{IDs: []ID{id}}
	return len(ds), o.record(ctx, Entry{Action: "restore", Select: sel, Author: author, Reason: reason})
}

// Forget removes what was set aside of a message for good.
func (o *Operator) Forget(ctx context.Context, q Quarantine, id ID, author, reason string) (int, error) {
	if author == "" || reason == "" {
		return 0, fmt.Errorf("forget: %w: an author and a reason are needed", ErrOrder)
	}
	n, err := q.Forget(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("forget message %s: %w", id, err)
	}
	sel := &Selector{IDs: []ID{id}}
	return n, o.record(ctx, Entry{Action: "forget", Select: sel, Author: author, Reason: reason})
}
