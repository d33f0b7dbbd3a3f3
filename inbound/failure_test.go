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

func TestBare(t *testing.T) {
	t.Parallel()
	denied := relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, "Denied")
	local := smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Temporary local problem, try again later"}
	for _, test := range []struct {
		name string
		err  error
		want smtp.SMTPError
	}{
		{"reply", denied, smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Denied"}},
		{"wrapped reply", fmt.Errorf("at data: %w", denied), smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Denied"}},
		{"reply with a cause", denied.Because(io.ErrNoProgress), smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Denied"}},
		{"no enhanced code", relay.NewReply(450, relay.EnhancedCode{}, "Later"), smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCodeNotSet, Message: "Later"}},
		{"several lines", relay.NewReply(550, relay.EnhancedCode{5, 0, 0}, "a\r\n250 b"), smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 0, 0}, Message: "a  250 b"}},
		{"no code", &relay.Reply{Text: "?"}, local},
		{"code out of range", relay.NewReply(999, relay.EnhancedCode{}, "?"), local},
		{"go-smtp's own", &smtp.SMTPError{Code: 550, Message: "secret"}, local},
		{"any", errors.New("open /secret: no such file"), local},
		{"context", context.Canceled, local},
		{"end of file", io.EOF, local},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := inbound.Bare(test.err); *got != test.want {
				t.Errorf("got %+v, want %+v", *got, test.want)
			}
		})
	}
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
		S: 220 mx.example.com ESMTP Service Ready
		C: HELO client.example
		S: 250 2.0.0 Hello client.example
		C: MAIL FROM:<a@example.com>`
	upToMail = upToHELO + `
		S: ` + localError + goesOn
	upToRcpt = upToHELO + `
		S: 250 2.0.0 Roger, accepting mail from <a@example.com>
		C: RCPT TO:<b@example.org>
		S: ` + localError + goesOn
	upToData = upToHELO + `
		S: 250 2.0.0 Roger, accepting mail from <a@example.com>
		C: RCPT TO:<b@example.org>
		S: 250 2.0.0 I'll make sure <b@example.org> gets this
		C: DATA
		S: 354 Go ahead. End your data with <CR><LF>.<CR><LF>
		C: Subject: x
		C: .
		S: ` + localError + goesOn
	goesOn = `
		C: NOOP
		S: 250 2.0.0 I have successfully done nothing`
)

// panics has every port panic in turn. The session ends, the server goes on.
func panics(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*house)
		script string
	}{
		{"connect", func(h *house) { h.policy.OnConnect = func(*relay.Origin) *relay.Reply { panic(secret) } }, "S: 220 mx.example.com ESMTP Service Ready\nS: " + localError},
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
