package relaytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"postrider/relay"
)

// spoolTest is a spool under test with what makes mail for it.
type spoolTest struct {
	*testing.T
	relay.Spool
	ctx context.Context
	ids *relay.IDs
	// t0 is the time at which mail is due unless a test says otherwise.
	t0 time.Time
}

func newSpoolTest(t *testing.T, s relay.Spool) *spoolTest {
	t0 := time.Date(2031, 5, 6, 7, 8, 9, 123456789, time.UTC)
	clock := func() time.Time { return t0 }
	return &spoolTest{T: t, Spool: s, ctx: t.Context(), ids: relay.NewIDs(clock, zeros{}), t0: t0}
}

// zeros is a source of chance for tests that want none.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

var (
	alpha = relay.Destination{Route: "internet", Domain: "alpha.example"}
	beta  = relay.Destination{Route: "internet", Domain: "beta.example"}
	smart = relay.Destination{Route: "smart"}
)

const bulk, desk relay.Flow = "bulk.example", "desk@example.com"

// message makes a message in which every field is set.
func (t *spoolTest) message(body []byte, recipients int) *relay.Message {
	header := []byte("Subject: conformance\r\n\r\n")
	m := &relay.Message{
		ID: t.ids.Next(),
		Envelope: relay.Envelope{
			Sender:   relay.Address{Local: "sender", Domain: "example.com"},
			SMTPUTF8: true, EightBit: true, RequireTLS: true, TLSOptional: true,
			Return: relay.ReturnHeaders, EnvelopeID: "env=1", Priority: -9,
			Encryption: relay.EncryptionVerified,
		},
		Origin: relay.Origin{
			Listener: "local", Client: netip.MustParseAddr("2001:db8::1"), Greeting: "client.example",
			User: "user", Protocol: "ESMTPSA", TLS: "TLSv1.3, TLS_AES_128_GCM_SHA256",
		},
		Header: header, Size: int64(len(header) + len(body)), Received: t.t0,
		Tags: []string{"invoice", "eu"},
		Trace: []relay.Verdict{
			{Rule: "no-exe", Stage: "data"},
			{Rule: "partners", Stage: "rcpt", Recipient: "r0@example.net", Said: "route partners"},
		},
	}
	for i := range recipients {
		m.Envelope.Recipients = append(m.Envelope.Recipients, relay.Recipient{
			Address: relay.Address{Local: fmt.Sprintf("r%d", i), Domain: "example.net"},
			Notify:  relay.NotifyFailure | relay.NotifyDelay, Original: "rfc822;original@example.net",
			Route: "partners",
		})
	}
	return m
}

// delivery makes part n of a message with the recipient of that number.
func (t *spoolTest) delivery(m *relay.Message, part int, to relay.Destination, due time.Time) relay.Delivery {
	return relay.Delivery{
		DeliveryID: relay.DeliveryID{Message: m.ID, Part: uint32(part)},
		To:         to, Flow: bulk, Recipients: []int{part}, Due: due,
	}
}

// draft starts a draft with a body.
func (t *spoolTest) draft(body []byte) relay.Draft {
	t.Helper()
	d, err := t.Create(t.ctx)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	if n, err := d.Write(body); err != nil || n != len(body) {
		t.Fatalf("write: got %d, %v, want %d", n, err, len(body))
	}
	return d
}

// store commits a message.
func (t *spoolTest) store(m *relay.Message, body []byte, ds ...relay.Delivery) {
	t.Helper()
	if err := t.draft(body).Commit(t.ctx, m, ds); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// queue commits a message of one delivery and returns it as Claim will.
func (t *spoolTest) queue(to relay.Destination, flow relay.Flow, due time.Time) relay.Delivery {
	t.Helper()
	m := t.message([]byte("body\r\n"), 1)
	d := t.delivery(m, 0, to, due)
	d.Flow, d.Sole = flow, true
	t.store(m, []byte("body\r\n"), d)
	return d
}

// claim claims from a bin and checks which deliveries came, in order, and what is next.
func (t *spoolTest) claim(to relay.Destination, flow relay.Flow, now time.Time, n int, next time.Time, want ...relay.Delivery) []relay.Delivery {
	t.Helper()
	got, gotNext, err := t.Claim(t.ctx, to, flow, now, n)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	t.sameDeliveries(got, want, true)
	if !gotNext.Equal(next) {
		t.Errorf("claim: got next due %v, want %v", gotNext, next)
	}
	return got
}

// sameDeliveries compares deliveries but for their times' locations.
func (t *spoolTest) sameDeliveries(got, want []relay.Delivery, claimed bool) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d deliveries, want %d\ngot  %+v\nwant %+v", len(got), len(want), got, want)
	}
	for i := range want {
		g, w := got[i], want[i]
		w.Claimed = claimed
		if !g.Due.Equal(w.Due) {
			t.Errorf("delivery %d: got due %v, want %v", i, g.Due, w.Due)
		}
		g.Due = w.Due
		if !reflect.DeepEqual(g, w) {
			t.Errorf("delivery %d:\ngot  %+v\nwant %+v", i, g, w)
		}
	}
}

// settle settles a claimed delivery.
func (t *spoolTest) settle(d relay.Delivery, then ...relay.Delivery) {
	t.Helper()
	if err := t.Settle(t.ctx, relay.Settlement{Delivery: d, Then: then}); err != nil {
		t.Fatalf("settle %s: %v", d.DeliveryID, err)
	}
}

// wantLeft checks what a message has left.
func (t *spoolTest) wantLeft(id relay.ID, want ...relay.Delivery) {
	t.Helper()
	got, err := t.Deliveries(t.ctx, id)
	if err != nil {
		t.Fatalf("deliveries: %v", err)
	}
	t.sameDeliveries(got, want, false)
}

// wantMessage checks that a message is there as it was stored.
func (t *spoolTest) wantMessage(want *relay.Message, body []byte) {
	t.Helper()
	got, err := t.Message(t.ctx, want.ID)
	if err != nil {
		t.Fatalf("message: %v", err)
	}
	if !got.Received.Equal(want.Received) {
		t.Errorf("got received %v, want %v", got.Received, want.Received)
	}
	got.Received = want.Received
	if !reflect.DeepEqual(got, want) {
		t.Errorf("message:\ngot  %+v\nwant %+v", got, want)
	}
	r, err := t.Body(t.ctx, want)
	if err != nil {
		t.Fatalf("body: %v", err)
	}
	t.wantBody(r, body)
}

func (t *spoolTest) wantBody(r io.ReadSeekCloser, want []byte) {
	t.Helper()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("body: got %d bytes, %v, want %d bytes", len(got), err, len(want))
	}
	if err := r.Close(); err != nil {
		t.Errorf("close body: %v", err)
	}
}

// wantArrived checks which messages are in the spool.
func (t *spoolTest) wantArrived(from relay.ID, want ...relay.ID) {
	t.Helper()
	var got []relay.ID
	for id, err := range t.Arrived(t.ctx, from) {
		if err != nil {
			t.Fatalf("arrived: %v", err)
		}
		got = append(got, id)
	}
	if !slices.Equal(got, want) {
		t.Errorf("arrived: got %v, want %v", got, want)
	}
}

// wantBins checks the bins, in any order.
func (t *spoolTest) wantBins(want ...relay.BinHead) {
	t.Helper()
	var got []relay.BinHead
	for b, err := range t.Bins(t.ctx, relay.BinHead{}) {
		if err != nil {
			t.Fatalf("bins: %v", err)
		}
		got = append(got, b)
	}
	if len(got) != len(want) {
		t.Errorf("bins: got %v, want %v", got, want)
	}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(g relay.BinHead) bool {
			return g.To == w.To && g.Flow == w.Flow && g.Due.Equal(w.Due)
		}) {
			t.Errorf("bins: got %v, want %v among them", got, w)
		}
	}
}

// list gives all deliveries from an ID on.
func (t *spoolTest) list(from relay.ID) []relay.Delivery {
	t.Helper()
	var got []relay.Delivery
	for d, err := range t.List(t.ctx, from) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		got = append(got, d)
	}
	return got
}

// wantEmpty checks that nothing is left of anything.
func (t *spoolTest) wantEmpty() {
	t.Helper()
	t.wantArrived(relay.ID{})
	t.wantBins()
	if got := t.list(relay.ID{}); len(got) != 0 {
		t.Errorf("list: got %v, want nothing", got)
	}
}
