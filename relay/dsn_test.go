package relay_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// submit accepts a message with the envelope as given and returns its ID.
func (r *rig) submit(t *testing.T, e relay.Envelope, text string, recipients ...relay.Recipient) relay.ID {
	t.Helper()
	o := origin
	tx := r.receiver.Begin(&o)
	if reply := tx.Mail(context.Background(), e, 0); reply != nil {
		t.Fatal(reply)
	}
	for _, rcpt := range recipients {
		if reply := tx.Rcpt(context.Background(), rcpt); reply != nil {
			t.Fatal(reply)
		}
	}
	id, reply := tx.Data(context.Background(), strings.NewReader(text))
	if reply != nil {
		t.Fatal(reply)
	}
	return id
}

// noticesTo are the notices that arrived at the sender.
func (r *rig) noticesTo(sender string) []string {
	var list []string
	for _, d := range r.transport.AllDelivered() {
		if d.Recipient.String() == sender {
			list = append(list, d.Content)
		}
	}
	return list
}

func wantLines(t *testing.T, notice string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if !strings.Contains(notice, want+"\r\n") {
			t.Errorf("the notice lacks the line %q:\n%s", want, notice)
		}
	}
}

const dsnSender = "sender@example.com"

// Success is told of where it was asked for and the next hop does not tell itself (D02).
func relayedNotice(t *testing.T) {
	for _, tt := range []struct {
		name   string
		notify relay.Notify
		dsn    bool
		sender string
		want   int
	}{
		{"asked for, next hop lacks DSN", relay.NotifySuccess, false, dsnSender, 1},
		{"asked for with others", relay.NotifySuccess | relay.NotifyFailure, false, dsnSender, 1},
		{"next hop has DSN", relay.NotifySuccess, true, dsnSender, 0},
		{"not asked for", 0, false, dsnSender, 0},
		{"never", relay.NotifyNever, false, dsnSender, 0},
		{"null sender", relay.NotifySuccess, false, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
					a := relaytest.OK(tr)
					a.DSN = tt.dsn
					return a
				}
				r.start(t)
				e := relay.Envelope{EnvelopeID: "order 7"}
				if tt.sender != "" {
					e.Sender = address(tt.sender)
				}
				r.submit(t, e, content, relay.Recipient{Address: address("b@one.test"), Notify: tt.notify, Original: "rfc822;first@one.test"})
				after(time.Second)
				list := r.noticesTo(dsnSender)
				if len(list) != tt.want || len(r.observer.AllNotified()) != tt.want {
					t.Fatalf("%d notices, %d told of, want %d", len(list), len(r.observer.AllNotified()), tt.want)
				}
				if tt.want == 1 {
					wantLines(t, list[0], "Subject: Mail relayed as you asked to be told", "Action: relayed", "Status: 2.0.0",
						"Original-Envelope-Id: order 7", "Original-Recipient: rfc822; first@one.test", "Final-Recipient: rfc822; b@one.test",
						"Content-Type: text/rfc822-headers", "    peer.test said: 250 2.0.0 Ok")
				}
				r.wantEmpty(t)
			})
		})
	}
}

// What an attempt made of a message is one notice, whatever became of whom (D04), and says which host
// said what and what to do.
func oneNotice(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) { return &relay.Site{Key: "one"}, nil }
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			a := relaytest.OK(tr)
			if len(tr.Recipients) == 3 {
				a.Replies[0] = relay.Reply{Code: 550, Enhanced: relay.EnhancedCode{5, 1, 1}, Text: "no such user \u00fc"}
				a.Replies[2] = relay.Reply{Code: 554, Enhanced: relay.EnhancedCode{5, 7, 1}, Text: "go away"}
				a.Hosts = []string{"mx1.test", "mx1.test", "mx2.test"}
			}
			return a
		}
		r.start(t)
		r.submit(t, relay.Envelope{Sender: address(dsnSender)}, content,
			relay.Recipient{Address: address("a@one.test")},
			relay.Recipient{Address: address("b@one.test"), Notify: relay.NotifySuccess},
			relay.Recipient{Address: address("c@one.test"), Notify: relay.NotifyFailure})
		after(time.Second)
		list := r.noticesTo(dsnSender)
		if len(list) != 1 {
			t.Fatalf("%d notices, want 1", len(list))
		}
		wantLines(t, list[0], "Subject: Undelivered mail returned to sender",
			"Action: failed", "Action: relayed", "Remote-MTA: dns; mx1.test", "Remote-MTA: dns; mx2.test",
			"Diagnostic-Code: smtp; 550 5.1.1 no such user ?",
			"    mx1.test said: 550 5.1.1 no such user \u00fc",
			"    Check the address: mail to it as it stands will not arrive.",
			"    mx2.test said: 554 5.7.1 go away",
			"    The host refuses it by its rules: show the line above to its postmaster.",
			"Content-Type: message/rfc822", "body")
		if n := r.observer.AllNotified(); len(n) != 1 || n[0].Status != relay.Bounced {
			t.Errorf("told of %+v", n)
		}
		r.wantEmpty(t)
	})
}

// What is returned, and in which form (D01).
func returnedForms(t *testing.T) {
	for _, tt := range []struct {
		name   string
		e      relay.Envelope
		text   string
		to     string
		want   []string
		absent string
	}{
		{"small", relay.Envelope{}, content, "b@one.test", []string{"Content-Type: message/rfc822", "body"}, "text/rfc822-headers"},
		{"RET=HDRS", relay.Envelope{Return: relay.ReturnHeaders}, content, "b@one.test", []string{"Content-Type: text/rfc822-headers"}, "\r\nbody\r\n"},
		{"large", relay.Envelope{}, content + strings.Repeat("filler\r\n", 10_000), "b@one.test", []string{"Content-Type: text/rfc822-headers"}, "filler"},
		{"UTF-8 recipient", relay.Envelope{SMTPUTF8: true}, content, "m\u00fcller@one.test", []string{
			"Content-Type: multipart/report; report-type=global-delivery-status;", "Content-Type: message/global-delivery-status",
			"Final-Recipient: utf-8; m\u00fcller@one.test", "Diagnostic-Code: smtp; 550 n\u00f6", "Content-Type: message/global"}, "rfc822"},
		{"UTF-8 header", relay.Envelope{SMTPUTF8: true}, "Subject: gr\u00fc\u00dfe\r\n\r\nbody\r\n", "b@one.test", []string{
			"Content-Type: multipart/report; report-type=delivery-status;", "Diagnostic-Code: smtp; 550 n?", "Content-Type: message/global"}, "message/rfc822"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
					if tr.Message.Envelope.Sender.IsNull() {
						return relaytest.OK(tr)
					}
					return relaytest.Answer(tr, reply(550, "n\u00f6"))
				}
				r.start(t)
				tt.e.Sender = address(dsnSender)
				r.submit(t, tt.e, tt.text, relay.Recipient{Address: address(tt.to)})
				after(time.Second)
				list := r.noticesTo(dsnSender)
				if len(list) != 1 {
					t.Fatalf("%d notices, want 1", len(list))
				}
				wantLines(t, list[0], tt.want...)
				if strings.Contains(list[0], tt.absent) {
					t.Errorf("the notice has %q:\n%s", tt.absent, list[0])
				}
				r.wantEmpty(t)
			})
		})
	}
}

// A delay is told of once, with the time until which delivery is tried (D03), and as temporary.
func delayNotice(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Retry.WarnAfter = 2 * time.Hour
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if tr.Message.Envelope.Sender.IsNull() {
				return relaytest.OK(tr)
			}
			return relaytest.Answer(tr, reply(451, "busy"))
		}
		r.start(t)
		sent := time.Now()
		r.submit(t, relay.Envelope{Sender: address(dsnSender)}, content,
			relay.Recipient{Address: address("b@one.test")}, relay.Recipient{Address: address("c@one.test"), Notify: relay.NotifyFailure})
		after(12 * time.Hour)
		list := r.noticesTo(dsnSender)
		if len(list) != 1 {
			t.Fatalf("%d notices, want 1", len(list))
		}
		wantLines(t, list[0], "Subject: Delayed mail (still being retried)", "Action: delayed", "Status: 4.4.7",
			"Will-Retry-Until: "+sent.Add(r.options.Retry.MaxAge).Format(time.RFC1123Z), "Content-Type: text/rfc822-headers")
		if strings.Contains(list[0], "c@one.test") {
			t.Errorf("told of the delay for one who did not ask:\n%s", list[0])
		}
	})
}

// stamper signs with a line, or fails.
type stamper struct{ err error }

func (s stamper) Sign(_ context.Context, _ *relay.Message, body io.Reader) ([]byte, error) {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return nil, err
	}
	return []byte("DKIM-Signature: v=1; d=relay.test\r\n"), s.err
}

// A notice is signed (D06), and sent all the same where that fails.
func noticeSigned(t *testing.T) {
	for name, fault := range map[string]error{"signed": nil, "no key": errors.New("no key")} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.options.Signers = []relay.Signer{stamper{fault}}
				r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
					if tr.Message.Envelope.Sender.IsNull() {
						return relaytest.OK(tr)
					}
					return relaytest.Answer(tr, reply(550, "no"))
				}
				r.start(t)
				r.send(t, dsnSender, "b@one.test")
				after(time.Second)
				list := r.noticesTo(dsnSender)
				if len(list) != 1 || strings.HasPrefix(list[0], "DKIM-Signature: ") != (fault == nil) {
					t.Errorf("notices %q", list)
				}
				if n := len(r.observer.AllFaults()); (n == 1) != (fault != nil) {
					t.Errorf("%d faults", n)
				}
			})
		})
	}
}
