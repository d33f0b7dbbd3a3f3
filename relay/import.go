package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ImporterOptions is what an Importer needs. Spool must be set.
type ImporterOptions struct {
	Spool Spool
	// History knows which messages were here before; without one only what is in the queue is
	// known.
	History History
	// Scheduler is told of what has come in; nil leaves everything in the spool.
	Scheduler *Scheduler
	// Notes and IDs are for the journal of Begin, Told is told of what is in it, and Now is the clock.
	Notes Notes
	IDs   *IDs
	Told  func(Entry)
	Now   func() time.Time
}

// Importer takes in messages that were in the queue of another spool, as they were there: nothing is
// asked, added or signed again. A message that is here, or was, is not taken twice.
type Importer struct {
	o       ImporterOptions
	journal journal
	// mu makes the look for a message and its commit one.
	mu sync.Mutex
}

// NewImporter checks its options.
func NewImporter(o ImporterOptions) (*Importer, error) {
	if o.Spool == nil {
		return nil, errors.New("importer: a spool must be set")
	}
	if o.Told == nil {
		o.Told = func(Entry) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Importer{o: o, journal: journal{notes: o.Notes}}, nil
}

// ErrImport says what is wrong with what is to be imported.
var ErrImport = errors.New("not a message with its deliveries")

// Import takes a message with its deliveries and body. With true it is on stable storage;
// with false there was nothing to do, for it is here or was. Claims of the deliveries mean nothing.
func (i *Importer) Import(ctx context.Context, m *Message, ds []Delivery, body io.Reader) (bool, error) {
	if err := importable(m, ds); err != nil {
		return false, fmt.Errorf("%w: %w", ErrImport, err)
	}
	if known, err := i.known(ctx, m.ID); known || err != nil {
		return false, err
	}
	if err := i.o.Spool.Admit(m.Size); err != nil {
		return false, err
	}
	draft, err := i.o.Spool.Create(ctx)
	if err != nil {
		return false, err
	}
	defer draft.Discard()
	n, err := io.Copy(draft, body)
	if err != nil {
		return false, err
	}
	if size := int64(len(m.Header)) + n; size != m.Size {
		return false, fmt.Errorf("%w: has %d bytes and should have %d", ErrImport, size, m.Size)
	}
	return i.commit(ctx, draft, m, ds)
}

func (i *Importer) commit(ctx context.Context, draft Draft, m *Message, ds []Delivery) (bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if known, err := i.known(ctx, m.ID); known || err != nil {
		return false, err
	}
	if err := draft.Commit(context.WithoutCancel(ctx), m, ds); err != nil {
		return false, err
	}
	if i.o.Scheduler != nil {
		i.o.Scheduler.accept(ds)
	}
	return true, nil
}

// known says whether the message is in the queue, damaged or not, or has been.
func (i *Importer) known(ctx context.Context, id ID) (bool, error) {
	_, err := i.o.Spool.Message(ctx, id)
	switch {
	case err == nil || errors.Is(err, ErrCorrupt):
		return true, nil
	case !errors.Is(err, ErrNotFound) || i.o.History == nil:
		return false, ignoreNotFound(err)
	}
	_, err = i.o.History.Life(ctx, id)
	return err == nil, ignoreNotFound(err)
}

func ignoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// importable refuses what the queue could not hold.
func importable(m *Message, ds []Delivery) error {
	if m.ID == (ID{}) || len(m.Header) == 0 || m.Received.IsZero() {
		return errors.New("no ID, header or time of arrival")
	}
	if len(ds) == 0 {
		return errors.New("no delivery")
	}
	parts, taken := make(map[uint32]bool), make(map[int]bool)
	for k := range ds {
		d := &ds[k]
		if d.Message != m.ID || parts[d.Part] || d.To.Route == "" || len(d.Recipients) == 0 || !d.fits(m) {
			return fmt.Errorf("delivery %s is of another message, there twice, for nowhere or for nobody", d.DeliveryID)
		}
		parts[d.Part] = true
		for _, r := range d.Recipients {
			if taken[r] {
				return fmt.Errorf("recipient %d is in two deliveries", r)
			}
			taken[r] = true
		}
		d.Claimed, d.message = false, nil
	}
	return nil
}
