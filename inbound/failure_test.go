package inbound_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"postrider/inbound"
	"postrider/relay"
)

// TestReply: an error that is no reply never meets a client.
func TestReply(t *testing.T) {
	t.Parallel()
	denied := relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, "Denied")
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"reply", denied, "554 5.7.1 Denied"},
		{"wrapped reply", fmt.Errorf("at data: %w", denied), "554 5.7.1 Denied"},
		{"reply with a cause", denied.Because(io.ErrNoProgress), "554 5.7.1 Denied"},
		{"no enhanced code", relay.NewReply(450, relay.EnhancedCode{}, "Later"), "450 Later"},
		{"no code", &relay.Reply{Text: "?"}, localError},
		{"code out of range", relay.NewReply(999, relay.EnhancedCode{}, "?"), localError},
		{"go-smtp's error", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "No"}, "550 5.7.1 No"},
		{"go-smtp's error, wrapped", fmt.Errorf("at data: %w", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.NoEnhancedCode, Message: "No"}), "550 No"},
		{"go-smtp's error without a code", &smtp.SMTPError{Message: "?"}, localError},
		{"enhanced code not set", &smtp.SMTPError{Code: 452, Message: "Later"}, "452 4.0.0 Later"},
		{"any", errors.New("open /secret: no such file"), localError},
		{"context", context.Canceled, localError},
		{"end of file", io.EOF, localError},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := inbound.Reply(test.err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestReplyOnOneLine has a policy whose words would break the protocol.
func TestReplyOnOneLine(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.policy.OnMail = func(*relay.Origin, *relay.Envelope) *relay.Reply {
		return relay.NewReply(550, relay.EnhancedCode{5, 0, 0}, "a\r\n250 b\xff"+strings.Repeat("c", 1000))
	}
	h.open().run().greeted().talk("C: MAIL FROM:<a@example.com>\nS: 550 5.0.0 a  250 b?" + strings.Repeat("c", 480-len("a  250 b?")))
}

const (
	localError = "451 4.3.0 Temporary local problem, try again later"
	secret     = "open /secret/path: permission denied"
)

// ourFailures fails every port on the way in, one at a time.
func ourFailures(t *testing.T) {
	fail := func() error { return errors.New(secret) }
	reply := func() *relay.Reply { return relay.LocalError(fail()) }
	for _, test := range []struct {
		name   string
		change func(*house)
		script string
	}{
		{"connect", func(h *house) { h.policy.OnConnect = func(*relay.Origin) *relay.Reply { return reply() } }, "S: " + localError + "\nS: EOF"},
		{"admit", func(h *house) { h.spool.onAdmit = fail }, upToMail},
		{"mail", func(h *house) {
			h.policy.OnMail = func(*relay.Origin, *relay.Envelope) *relay.Reply { return reply() }
		}, upToMail},
		{"rcpt", func(h *house) {
			h.policy.OnRcpt = func(*relay.Origin, *relay.Envelope, relay.Recipient) *relay.Reply { return reply() }
		}, upToRcpt},
		{"route", func(h *house) {
			h.policy.RouteTo = func(*relay.Origin, *relay.Envelope, relay.Recipient) (relay.Destination, *relay.Reply) {
				return relay.Destination{}, reply()
			}
		}, upToRcpt},
		{"create", func(h *house) { h.spool.onCreate = fail }, upToData},
		{"data", func(h *house) { h.policy.OnData = func(*relay.Message) *relay.Reply { return reply() } }, upToData},
		{"commit", func(h *house) { h.spool.onCommit = fail }, upToData},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			test.change(h)
			h.open().run().dial().talk(test.script)
		})
	}
}

const (
	upToHELO = `
		S: 220 mx.example.com ESMTP Postrider
		C: HELO client.example
		S: 250 mx.example.com
		C: MAIL FROM:<a@example.com>`
	upToMail = upToHELO + `
		S: ` + localError + goesOn
	upToRcpt = upToHELO + `
		S: 250 2.1.0 Ok
		C: RCPT TO:<b@example.org>
		S: ` + localError + goesOn
	upToData = upToHELO + `
		S: 250 2.1.0 Ok
		C: RCPT TO:<b@example.org>
		S: 250 2.1.5 Ok
		C: DATA
		S: 354 End data with <CR><LF>.<CR><LF>
		C: Subject: x
		C: .
		S: ` + localError + goesOn
	goesOn = `
		C: NOOP
		S: 250 2.0.0 Ok`
)

// panics has every port panic in turn. The session ends, the server goes on.
func panics(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*house)
		script string
	}{
		{"connect", func(h *house) { h.policy.OnConnect = func(*relay.Origin) *relay.Reply { panic(secret) } }, "S: " + localError},
		{"mail", func(h *house) {
			h.policy.OnMail = func(*relay.Origin, *relay.Envelope) *relay.Reply { panic(secret) }
		}, upToMail},
		{"rcpt", func(h *house) {
			h.policy.OnRcpt = func(*relay.Origin, *relay.Envelope, relay.Recipient) *relay.Reply { panic(secret) }
		}, upToRcpt},
		{"create", func(h *house) { h.spool.onCreate = func() error { panic(secret) } }, upToData},
		{"data", func(h *house) { h.policy.OnData = func(*relay.Message) *relay.Reply { panic(secret) } }, upToData},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			test.change(h)
			h.open().run()
			h.spool.excuse()
			h.dial().talk(strings.TrimSuffix(test.script, goesOn) + "\nS: EOF")
			faults := h.observer.AllFaults()
			if len(faults) != 1 || !strings.Contains(faults[0].Err.Error(), secret) {
				t.Errorf("faults %v, want the panic", faults)
			}
		})
	}
}
