package spool_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"postrider/relay"
	"postrider/spool"
)

var here = relay.Destination{Route: "internet", Domain: "example.net"}

// mail makes messages whose bodies can be told from their IDs.
type mail struct{ ids *relay.IDs }

func newMail() mail { return mail{relay.NewIDs(time.Now, rand.Reader)} }

// message makes a message with n deliveries and a body of the size.
func (m mail) message(n, size int) (*relay.Message, []relay.Delivery) {
	msg := &relay.Message{
		ID:       m.ids.Next(),
		Envelope: relay.Envelope{Sender: relay.Address{Local: "a", Domain: "example.com"}},
		Header:   []byte("Subject: test\r\n\r\n"),
		Size:     int64(size) + 17,
		Received: time.Unix(1, 0),
	}
	var ds []relay.Delivery
	for i := range n {
		msg.Envelope.Recipients = append(msg.Envelope.Recipients, relay.Recipient{Address: relay.Address{Local: fmt.Sprint(i), Domain: "example.net"}})
		ds = append(ds, relay.Delivery{
			DeliveryID: relay.DeliveryID{Message: msg.ID, Part: uint32(i)},
			To:         here, Flow: "flow", Recipients: []int{i}, Due: time.Unix(2, 0), Sole: n == 1,
		})
	}
	return msg, ds
}

// body is the body of a message: its ID over and over.
func body(m *relay.Message) []byte {
	size := int(m.Size) - len(m.Header)
	return bytes.Repeat(m.ID[:], size/len(m.ID)+1)[:size]
}

// commit stores a message.
func commit(ctx context.Context, s *spool.Spool, m *relay.Message, ds []relay.Delivery) error {
	d, err := s.Create(ctx)
	if err != nil {
		return err
	}
	defer d.Discard()
	if _, err := d.Write(body(m)); err != nil {
		return err
	}
	return d.Commit(ctx, m, ds)
}

// whole checks that a message, its body and its deliveries are there.
func whole(ctx context.Context, s *spool.Spool, id relay.ID) error {
	m, err := s.Message(ctx, id)
	if err != nil {
		return err
	}
	r, err := s.Body(ctx, m)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, body(m)) {
		return fmt.Errorf("%s: body of %d bytes is not what was written", id, len(got))
	}
	ds, err := s.Deliveries(ctx, id)
	if err == nil && len(ds) == 0 {
		err = fmt.Errorf("%s: no deliveries", id)
	}
	return err
}

// arrived gives the messages in the spool.
func arrived(t *testing.T, s *spool.Spool) []relay.ID {
	t.Helper()
	var ids []relay.ID
	for id, err := range s.Arrived(t.Context(), relay.ID{}) {
		if err != nil {
			t.Fatalf("arrived: %v", err)
		}
		ids = append(ids, id)
	}
	return ids
}

// faults collects what a spool reports.
type faults struct {
	mu  sync.Mutex
	all []relay.Fault
}

func (f *faults) add(fault relay.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, fault)
}

func (f *faults) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.all)
}

// wantKeys checks how many keys a space has.
func wantKeys(t *testing.T, s *spool.Spool, space byte, want int) {
	t.Helper()
	keys, err := s.Keys(space)
	if err != nil {
		t.Fatalf("keys of %c: %v", space, err)
	}
	if len(keys) != want {
		t.Errorf("got %d keys in %c, want %d: %x", len(keys), space, want, keys)
	}
}

// wantNothing checks that the spool has no key but its format, and its history.
func wantNothing(t *testing.T, s *spool.Spool) {
	t.Helper()
	for _, space := range []byte("mbqwdptx") {
		wantKeys(t, s, space, 0)
	}
}
