package inbound_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"postrider/inbound"
)

func withUsers(t *testing.T, mode inbound.AuthMode) *house {
	h := newHouse(t)
	h.options.Listeners[0].Auth = mode
	h.options.Users.File = usersFile(t)
	return h
}

func authMechanisms(t *testing.T) {
	for _, test := range []struct{ name, script string }{
		{"PLAIN", `
			C: AUTH PLAIN AGFubgBzZWNyZXQ=
			S: 235 2.0.0 Authentication succeeded`},
		{"PLAIN without initial response", `
			C: AUTH PLAIN
			S: 334 
			C: AGFubgBzZWNyZXQ=
			S: 235 2.0.0 Authentication succeeded`},
		{"LOGIN", `
			C: AUTH login
			S: 334 VXNlcm5hbWU6
			C: YW5u
			S: 334 UGFzc3dvcmQ6
			C: c2VjcmV0
			S: 235 2.0.0 Authentication succeeded`},
		{"LOGIN with initial response", `
			C: AUTH LOGIN YW5u
			S: 334 UGFzc3dvcmQ6
			C: c2VjcmV0
			S: 235 2.0.0 Authentication succeeded`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := withUsers(t, inbound.AuthRequired).open().run()
			c := h.greeted()
			c.talk(test.script)
			c.talk(`
				C: AUTH PLAIN AGFubgBzZWNyZXQ=
				S: 503 5.5.1 Already authenticated
				C: MAIL FROM:<any@example.net>
				S: 250 2.1.0 Ok
				C: RCPT TO:<b@example.org>
				S: 250 2.1.5 Ok
				C: DATA
				S: 354 End data with <CR><LF>.<CR><LF>
				C: .
				S: 250 2.0.0 Ok: queued as <id>`)
			if o := h.spool.all()[0].Origin; o.User != "ann" || o.Protocol != "ESMTPA" {
				t.Errorf("origin %+v", o)
			}
		})
	}
}

func authRefusals(t *testing.T) {
	h := withUsers(t, inbound.AuthOptional).open().run()
	c := h.greeted()
	c.talk(`
		C: AUTH PLAIN AGFubgB3cm9uZw==
		S: 535 5.7.8 Authentication failed
		C: AUTH PLAIN AG5vYm9keQBzZWNyZXQ=
		S: 535 5.7.8 Authentication failed
		C: AUTH PLAIN Ym9iAGFubgBzZWNyZXQ=
		S: 535 5.7.8 Authentication failed
		C: AUTH PLAIN =
		S: 501 5.5.2 Malformed authentication data
		C: AUTH PLAIN !!!
		S: 501 5.5.2 Malformed authentication data
		C: AUTH PLAIN
		S: 334 
		C: *
		S: 501 5.0.0 Negotiation cancelled
		C: AUTH LOGIN
		S: 334 VXNlcm5hbWU6
		C: RSET
		S: 334 UGFzc3dvcmQ6
		C: QUIT!
		S: 501 5.0.0 Negotiation cancelled
		C: AUTH CRAM-MD5
		S: 504 5.5.4 Authentication mechanism not supported
		C: AUTH
		S: 501 5.5.4 Syntax error in arguments
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		C: AUTH PLAIN AGFubgBzZWNyZXQ=
		S: 503 5.5.1 Not allowed inside a mail transaction
		C: RSET
		S: 250 2.0.0 Ok
		C: AUTH PLAIN AGFubgBzZWNyZXQ=
		C: MAIL FROM:<a@example.com>
		S: 554 5.5.0 Improper command pipelining
		S: EOF`)
	var auth int
	for _, r := range h.observer.AllRefused() {
		if r.Stage == "auth" {
			auth++
		}
	}
	if auth != 2 {
		t.Errorf("%d refusals at auth were reported, want 2", auth)
	}
	h.dial().talk(`
		S: 220 mx.example.com ESMTP Postrider
		C: AUTH PLAIN AGFubgBzZWNyZXQ=
		S: 503 5.5.1 Send EHLO first`)
}

func authRequired(t *testing.T) {
	h := withUsers(t, inbound.AuthRequired).open().run()
	h.greeted().talk(`
		C: MAIL FROM:<a@example.com>
		S: 530 5.7.0 Authentication required
		C: RCPT TO:<b@example.org>
		S: 503 5.5.1 Need MAIL command first
		C: AUTH PLAIN AGJvYgBzZWNyZXQ=
		S: 235 2.0.0 Authentication succeeded
		C: MAIL FROM:<ann@example.com>
		S: 553 5.7.1 Sender address not allowed for this user
		C: MAIL FROM:<Bob@example.com>
		S: 250 2.1.0 Ok
		C: RSET
		S: 250 2.0.0 Ok
		C: MAIL FROM:<any@SHOP.example>
		S: 250 2.1.0 Ok
		C: RSET
		S: 250 2.0.0 Ok
		C: MAIL FROM:<>
		S: 250 2.1.0 Ok`)
	var stages []string
	for _, r := range h.observer.AllRefused() {
		stages = append(stages, r.Stage+" "+r.Sender.String())
	}
	if want := []string{"mail a@example.com", "mail ann@example.com"}; !slices.Equal(stages, want) {
		t.Errorf("refusals %v, want %v", stages, want)
	}
}

func usersGone(t *testing.T) {
	h := withUsers(t, inbound.AuthOptional).open().run()
	file := h.options.Users.File
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c := h.greeted()
	for range 2 {
		h.spool.excuse()
		c.talk("C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 454 4.7.0 Temporary authentication failure")
		write(t, file, "ann:not a hash\n")
	}
	write(t, file, strings.ReplaceAll(string(text), "ann:", "eve:"))
	c.talk(`
		C: AUTH PLAIN AGFubgBzZWNyZXQ=
		S: 535 5.7.8 Authentication failed
		C: AUTH PLAIN AGV2ZQBzZWNyZXQ=
		S: 235 2.0.0 Authentication succeeded`)
}
