package relay_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"postrider/relay"
)

func TestTransactionRefuses(t *testing.T) {
	lost := errors.New("connection lost")
	for name, tt := range map[string]struct {
		change  func(*rig)
		from    string
		to      []string
		content io.Reader
		want    string
	}{
		"no recipient":            {want: "554 5.5.1 No valid recipients"},
		"policy at mail":          {from: "bad@example.com", want: "550 sender refused"},
		"policy at rcpt (I22)":    {to: []string{"bad@one.test"}, want: "554 Relay access denied"},
		"policy at data":          {to: []string{"b@one.test"}, content: strings.NewReader("Subject: bad\r\n\r\n"), want: "550 content refused"},
		"no route":                {to: []string{"b@nowhere.test"}, want: "550 no route"},
		"too large (I04)":         {to: []string{"b@one.test"}, content: strings.NewReader(content + strings.Repeat("x", 60<<20)), want: "552 5.3.4 Message size exceeds the limit"},
		"looping (I10)":           {to: []string{"b@one.test"}, content: strings.NewReader(strings.Repeat("Received: x\r\n", 50) + "\r\n"), want: "554 5.4.6 Too many hops, this message is looping"},
		"NUL (I07)":               {to: []string{"b@one.test"}, content: strings.NewReader("A: 1\r\n\r\n\x00"), want: "550 5.6.0 Message contains a NUL character"},
		"connection lost":         {to: []string{"b@one.test"}, content: io.MultiReader(strings.NewReader("A: 1\r\n"), iotest.ErrReader(lost)), want: "451 4.3.0 Temporary local problem, try again later"},
		"disk full (I04)":         {change: func(r *rig) { r.spool = full{r.spool, "admit"} }, want: "452 4.3.1 Insufficient system storage, try again later"},
		"no draft (I20)":          {change: func(r *rig) { r.spool = full{r.spool, "create"} }, to: []string{"b@one.test"}, want: "451 4.3.0 Temporary local problem, try again later"},
		"full while committing":   {change: func(r *rig) { r.spool = full{r.spool, "commit"} }, to: []string{"b@one.test"}, want: "452 4.3.1 Insufficient system storage, try again later"},
		"full while writing body": {change: func(r *rig) { r.spool = full{r.spool, "write"} }, to: []string{"b@one.test"}, want: "452 4.3.1 Insufficient system storage, try again later"},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.policy.OnMail = func(_ *relay.Origin, e *relay.Envelope) *relay.Reply {
					return refuseIf(e.Sender.Local == "bad", 550, "sender refused")
				}
				r.policy.OnRcpt = func(_ *relay.Origin, _ *relay.Envelope, rcpt relay.Recipient) *relay.Reply {
					return refuseIf(rcpt.Address.Local == "bad", 554, "Relay access denied")
				}
				r.policy.OnData = func(m *relay.Message) *relay.Reply {
					return refuseIf(m.Field("subject") == "bad", 550, "content refused")
				}
				r.policy.RouteTo = func(_ *relay.Origin, _ *relay.Envelope, rcpt relay.Recipient) (relay.Destination, *relay.Reply) {
					return relay.Destination{Route: "test"}, refuseIf(rcpt.Address.Domain == "nowhere.test", 550, "no route")
				}
				if tt.change != nil {
					tt.change(r)
				}
				r.start(t)
				if tt.content == nil {
					tt.content = strings.NewReader(content)
				}
				_, reply := r.try(tt.from, tt.content, tt.to...)
				if reply == nil || reply.String() != tt.want {
					t.Fatalf("got %v, want %q", reply, tt.want)
				}
				if name == "connection lost" && !errors.Is(reply, lost) {
					t.Errorf("%v does not wrap the cause", reply)
				}
				if got := len(r.observer.AllRefused()); got != 1 {
					t.Errorf("%d refusals observed, want 1", got)
				}
				synctest.Wait()
				r.wantEmpty(t)
				if st := r.scheduler.Status(); len(st) != 0 {
					t.Errorf("bins left behind: %+v", st)
				}
			})
		})
	}
}

func refuseIf(bad bool, code int, text string) *relay.Reply {
	if !bad {
		return nil
	}
	return relay.NewReply(code, relay.EnhancedCode{}, text)
}

// full is a spool that has no room at some step.
type full struct {
	relay.Spool
	at string
}

func (f full) Admit(size int64) error {
	if f.at == "admit" {
		return relay.StorageFull(errors.New("no space"))
	}
	return f.Spool.Admit(size)
}

func (f full) Create(ctx context.Context) (relay.Draft, error) {
	if f.at == "create" {
		return nil, errors.New("broken")
	}
	d, err := f.Spool.Create(ctx)
	return fullDraft{d, f.at}, err
}

type fullDraft struct {
	relay.Draft
	at string
}

func (f fullDraft) Write(p []byte) (int, error) {
	if f.at == "write" {
		return 0, relay.StorageFull(errors.New("no space"))
	}
	return f.Draft.Write(p)
}

func (f fullDraft) Commit(ctx context.Context, m *relay.Message, ds []relay.Delivery, events ...relay.Event) error {
	if f.at == "commit" {
		f.Draft.Discard()
		return relay.StorageFull(errors.New("no space"))
	}
	return f.Draft.Commit(ctx, m, ds, events...)
}

// A session's transaction serves one message after the other and forgets in between (I15).
func TestTransactionResets(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.start(t)
		ctx := context.Background()
		o := origin
		tx := r.receiver.Begin(&o)
		rcpt := relay.Recipient{Address: address("b@one.test")}
		mail := relay.Envelope{Sender: address("a@example.com")}
		wantReply(t, "RCPT first", tx.Rcpt(ctx, rcpt), 503)
		_, reply := tx.Data(ctx, strings.NewReader(content))
		wantReply(t, "DATA first", reply, 503)
		wantReply(t, "MAIL", tx.Mail(ctx, mail, 0), 0)
		wantReply(t, "nested MAIL", tx.Mail(ctx, mail, 0), 503)
		wantReply(t, "RCPT", tx.Rcpt(ctx, rcpt), 0)
		tx.Reset()
		wantReply(t, "RCPT after reset", tx.Rcpt(ctx, rcpt), 503)
		for range 2 {
			wantReply(t, "MAIL", tx.Mail(ctx, mail, 0), 0)
			wantReply(t, "RCPT", tx.Rcpt(ctx, rcpt), 0)
			_, reply = tx.Data(ctx, strings.NewReader(content))
			wantReply(t, "DATA", reply, 0)
		}
		wantReply(t, "MAIL too large", tx.Mail(ctx, mail, 1<<30), 552)
		synctest.Wait()
		if got := len(r.delivered()); got != 2 {
			t.Errorf("delivered %d, want 2", got)
		}
	})
}

func wantReply(t *testing.T, step string, got *relay.Reply, code int) {
	t.Helper()
	if got == nil && code != 0 || got != nil && got.Code != code {
		t.Errorf("%s: got %v, want %d", step, got, code)
	}
}

// A recipient given twice is sent to once (T19); the limit answers 452 (I04).
func recipientsOnce(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.start(t)
		r.send(t, "a@example.com", "b@one.test", "b@ONE.test", "b@one.test")
		synctest.Wait()
		if got := r.delivered(); len(got) != 1 {
			t.Errorf("delivered %v", got)
		}
		ctx := context.Background()
		o := origin
		tx := r.receiver.Begin(&o)
		wantReply(t, "MAIL", tx.Mail(ctx, relay.Envelope{}, 0), 0)
		for _, to := range numbered("r%d@one.test", relay.DefaultRecipients) {
			wantReply(t, "RCPT", tx.Rcpt(ctx, relay.Recipient{Address: address(to)}), 0)
		}
		wantReply(t, "one RCPT more", tx.Rcpt(ctx, relay.Recipient{Address: address("x@one.test")}), 452)
		_, reply := tx.Data(ctx, strings.NewReader(content))
		wantReply(t, "DATA", reply, 0)
	})
}

// signer signs with a fixed field, or fails.
type signer struct{ err error }

func (s signer) Sign(_ context.Context, m *relay.Message, body io.Reader) ([]byte, error) {
	all, err := io.ReadAll(io.MultiReader(bytes.NewReader(m.Header), body))
	if err != nil || s.err != nil {
		return nil, errors.Join(err, s.err)
	}
	return []byte("Signature: " + strings.ReplaceAll(string(all[:8]), "\r\n", "") + "\r\n"), nil
}

// What is signed is what is sent; a signature that cannot be made does not stop the mail.
func TestSigns(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.start(t)
		receiver, err := relay.NewReceiver(relay.ReceiverOptions{
			Hostname: "relay.test", Spool: r.spool, Policy: r.policy, Observer: r.observer, Scheduler: r.scheduler,
			IDs: r.ids, Now: time.Now, Signers: []relay.Signer{signer{}, signer{errors.New("no key")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.receiver = receiver
		r.send(t, "a@example.com", "b@one.test")
		synctest.Wait()
		got := r.transport.AllDelivered()
		if len(got) != 1 || !strings.HasPrefix(got[0].Content, "Signature: Received\r\nReceived: from") {
			t.Errorf("delivered %+v", got)
		}
		if a := r.observer.AllAccepted(); len(a) != 1 || a[0].Unsigned == nil || a[0].Message.Size != int64(len(got[0].Content)) {
			t.Errorf("accepted %+v", a)
		}
	})
}

// Trace text comes from clients and must not break out of its field.
func TestReceivedField(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.start(t)
		o := relay.Origin{
			Client: netip.MustParseAddr("2001:db8::1"), Greeting: "a\r\nX: y (b) ", Protocol: "ESMTPS", TLS: "TLSv1.3\r\n(x)",
		}
		tx := r.receiver.Begin(&o)
		ctx := context.Background()
		tx.Mail(ctx, relay.Envelope{Sender: address("a@example.com")}, 0)
		tx.Rcpt(ctx, relay.Recipient{Address: address("b@one.test")})
		tx.Rcpt(ctx, relay.Recipient{Address: address("c@one.test")})
		id, reply := tx.Data(ctx, strings.NewReader(content))
		wantReply(t, "DATA", reply, 0)
		synctest.Wait()
		head, _, _ := strings.Cut(r.transport.AllDelivered()[0].Content, "From:")
		want := "Received: from aX:yb ([IPv6:2001:db8::1])\r\n\t(using TLSv1.3x)\r\n\tby relay.test (Postrider) with ESMTPS id " + id.String() + ";\r\n\t" +
			time.Now().Format(time.RFC1123Z) + "\r\n"
		if head != want {
			t.Errorf("got %q, want %q", head, want)
		}
	})
}

// Mail flows are told apart by user, then sender domain, then client network.
func TestFlows(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.fill(t)
		send := func(o relay.Origin, from string) {
			tx := r.receiver.Begin(&o)
			ctx := context.Background()
			tx.Mail(ctx, relay.Envelope{Sender: address(from)}, 0)
			tx.Rcpt(ctx, relay.Recipient{Address: address("b@one.test")})
			_, reply := tx.Data(ctx, strings.NewReader(content))
			wantReply(t, "DATA", reply, 0)
		}
		send(relay.Origin{User: "app"}, "a@example.com")
		send(relay.Origin{Client: netip.MustParseAddr("192.0.2.9")}, "a@example.com")
		send(relay.Origin{Client: netip.MustParseAddr("192.0.2.9")}, "")
		send(relay.Origin{Client: netip.MustParseAddr("2001:db8:1:2:3::9")}, "")
		send(relay.Origin{}, "")
		var got []string
		for _, d := range r.queued(t) {
			got = append(got, string(d.Flow))
		}
		want := "app example.com 192.0.2.9/32 2001:db8:1:2::/64 -"
		if strings.Join(got, " ") != want {
			t.Errorf("flows %v, want %s", got, want)
		}
	})
}
