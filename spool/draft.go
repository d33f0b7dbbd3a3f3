package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// chunkSize is that of a piece of a body on disk, and the most of a body that a draft or
// a reader keeps in memory.
const chunkSize = 128 << 10

// tailSize is what a draft begins with, enough for most messages.
const tailSize = 8 << 10

// errTwice is the answer to a message that has two deliveries of one number, or that is
// in the queue already.
var errTwice = errors.New("delivery is there already")

// errUsed is the answer to whatever is done with a draft after its end.
var errUsed = errors.New("the draft has ended")

// draft keeps its body in memory while that is short, and then writes it in pieces that
// stay invisible until the commit.
type draft struct {
	s   *Spool
	ctx context.Context
	// body names the pieces on disk; zero while there are none.
	body   relay.ID
	chunks uint32
	tail   []byte
	used   bool
	// room is the memory that the tail began in. Lent says that a reader may have it.
	room *[]byte
	lent bool
}

// tails have the memory of drafts that have ended for those that begin.
var tails = sync.Pool{New: func() any {
	tail := make([]byte, 0, tailSize)
	return &tail
}}

// free gives the tail's memory back, grown as it may be, unless somebody may read it. Nothing is read from the tail
// after.
func (d *draft) free() {
	if d.room == nil || d.lent {
		return
	}
	*d.room = d.tail[:0]
	tails.Put(d.room)
	d.room, d.tail = nil, nil
}

// Create starts a draft.
func (s *Spool) Create(ctx context.Context) (relay.Draft, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := s.broken(); err != nil {
		return nil, err
	}
	return &draft{s: s, ctx: ctx}, nil
}

// Write appends to the body.
func (d *draft) Write(p []byte) (n int, err error) {
	if d.used {
		return 0, errUsed
	}
	for len(p) > 0 {
		if len(d.tail) == chunkSize {
			if err := d.spill(); err != nil {
				return n, fmt.Errorf("write draft: %w", err)
			}
		}
		if d.tail == nil {
			d.room = tails.Get().(*[]byte)
			d.tail = *d.room
		}
		m := min(len(p), chunkSize-len(d.tail))
		d.tail = append(d.tail, p[:m]...)
		p, n = p[m:], n+m
	}
	return n, nil
}

// spill writes the tail as a piece. With the first goes the note by which the next start
// finds the pieces if there is no commit.
//
// Many sessions may have been admitted at once, so each piece asks for room again: a disk
// that Pebble itself has filled has no room to remove anything.
func (d *draft) spill() error {
	if err := d.s.Admit(chunkSize); err != nil {
		return err
	}
	b := d.s.db.NewBatch()
	body := d.body
	if d.chunks == 0 {
		body = d.s.ids.Next()
		if err := b.Set(draftKey(body), []byte{recordVersion}, nil); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	if err := b.Set(chunkKey(body, d.chunks), d.tail, nil); err != nil {
		return errors.Join(err, b.Close())
	}
	chunks := d.chunks + 1
	abandoned, err := d.s.write(d.ctx, b, pebble.NoSync, func(err error) {
		if err == nil {
			d.s.reportDiscard(d.s.removeDraft(body, chunks))
		}
	})
	if err != nil {
		d.used = d.used || abandoned
		return err
	}
	d.body, d.chunks, d.tail = body, chunks, d.tail[:0]
	return nil
}

// Body reads back what was written.
func (d *draft) Body() (io.ReadSeekCloser, error) {
	if d.used {
		return nil, errUsed
	}
	d.lent = true
	return &body{
		s: d.s, ctx: d.ctx, id: d.body, chunks: d.chunks, tail: d.tail,
		length: int64(d.chunks)*chunkSize + int64(len(d.tail)),
	}, nil
}

// Commit stores the message in one synced batch.
func (d *draft) Commit(ctx context.Context, m *relay.Message, ds []relay.Delivery, events ...relay.Event) error {
	if d.used {
		return errUsed
	}
	d.used = true
	if err := d.commit(ctx, arrival{s: d.s, m: m, ds: ds, events: events, layout: layout{body: d.body, chunks: d.chunks}}); err != nil {
		return fmt.Errorf("commit message %s: %w", m.ID, err)
	}
	return nil
}

func (d *draft) commit(ctx context.Context, a arrival) error {
	b := d.s.db.NewBatch()
	if err := a.add(b, d.tail); err != nil {
		return errors.Join(err, b.Close(), d.remove())
	}
	d.free()
	if !a.hold() {
		return errors.Join(errTwice, b.Close(), d.remove())
	}
	abandoned, err := d.s.write(ctx, b, pebble.Sync, a.late)
	switch {
	case abandoned:
		return err
	case err != nil:
		a.drop()
		return errors.Join(err, d.remove())
	}
	a.publish()
	return nil
}

// Discard drops the draft.
func (d *draft) Discard() {
	if d.used {
		return
	}
	d.used = true
	d.free()
	d.s.reportDiscard(d.remove())
}

func (s *Spool) reportDiscard(err error) {
	if err != nil {
		s.o.Fault(relay.Fault{Doing: "discard a draft; the next start will", Err: err})
	}
}

func (d *draft) remove() error {
	if d.chunks == 0 {
		return nil
	}
	if err := d.s.enter(context.Background()); err != nil {
		return err
	}
	defer d.s.leave()
	return d.s.removeDraft(d.body, d.chunks)
}

// removeDraft removes the first pieces of a draft, and the note of it.
func (s *Spool) removeDraft(body relay.ID, chunks uint32) error {
	b := s.db.NewBatch()
	err := errors.Join(b.SingleDelete(draftKey(body), nil), removeChunks(b, body, chunks))
	if err != nil {
		return errors.Join(err, b.Close())
	}
	return s.apply(b, pebble.NoSync)
}

func removeChunks(b *pebble.Batch, body relay.ID, chunks uint32) error {
	for i := range chunks {
		if err := b.SingleDelete(chunkKey(body, i), nil); err != nil {
			return err
		}
	}
	return nil
}

// collectDrafts removes the pieces of drafts that a crash has left. There are as many
// as there were drafts of long messages, whatever the length of the queue.
func (s *Spool) collectDrafts() error {
	drafts, err := s.keys([]byte{spaceDraft}, after([]byte{spaceDraft}))
	if err != nil {
		return err
	}
	for _, key := range drafts {
		body := relay.ID(key[1:])
		prefix := idPrefix(spaceBody, body)
		chunks, err := s.keys(prefix, after(prefix))
		if err != nil {
			return err
		}
		if err := s.removeDraft(body, uint32(len(chunks))); err != nil {
			return fmt.Errorf("collect draft %s: %w", body, err)
		}
	}
	return nil
}
