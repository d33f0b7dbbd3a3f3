package inbound_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"postrider/inbound"
	"postrider/inbound/auth"
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
			S: 235 2.7.0 Authentication succeeded`},
		{"PLAIN without initial response", `
			C: AUTH PLAIN
			S: 334 
			C: AGFubgBzZWNyZXQ=
			S: 235 2.7.0 Authentication succeeded`},
		{"LOGIN", `
			C: AUTH login
			S: 334 VXNlcm5hbWU6
			C: YW5u
			S: 334 UGFzc3dvcmQ6
			C: c2VjcmV0
			S: 235 2.7.0 Authentication succeeded`},
		{"LOGIN with an empty initial response, names without padding", `
			C: AUTH LOGIN =
			S: 334 VXNlcm5hbWU6
			C: YW5u
			S: 334 UGFzc3dvcmQ6
			C: c2VjcmV0
			S: 235 2.7.0 Authentication succeeded`},
		{"PLAIN with an identity", `
			C: AUTH PLAIN YW5uAGFubgBzZWNyZXQ
			S: 235 2.7.0 Authentication succeeded`},
		{"LOGIN with initial response", `
			C: AUTH LOGIN YW5u
			S: 334 UGFzc3dvcmQ6
			C: c2VjcmV0
			S: 235 2.7.0 Authentication succeeded`},
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
		S: 501 5.5.2 Malformed authentication data
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
	if auth != 3 {
		t.Errorf("%d refusals at auth were reported, want 3", auth)
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
		S: 235 2.7.0 Authentication succeeded
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

// A users file that is broken or gone keeps what it said before, and is reported once.
func usersGone(t *testing.T) {
	h := withUsers(t, inbound.AuthOptional).open().run()
	file := h.options.Users.File
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := h.greeted()
	for _, change := range []func(){
		func() { replace(t, file, "ann:not a hash\n") },
		func() { os.Remove(file) },
	} {
		h.spool.excuse()
		change()
		c.talk(`
			C: AUTH PLAIN AGFubgB3cm9uZw==
			S: 535 5.7.8 Authentication failed`)
		h.login("AGFubgBzZWNyZXQ=", "235")
	}
	replace(t, file, strings.ReplaceAll(string(text), "ann:", "eve:"))
	long := time.Now().Add(-time.Hour) // what comes where nothing was may not be whole yet
	if err := os.Chtimes(file, long, long); err != nil {
		t.Fatal(err)
	}
	h.login("AGFubgBzZWNyZXQ=", "535")
	h.login("AGV2ZQBzZWNyZXQ=", "235")
}

// login authenticates in a session of its own.
func (h *house) login(plain, want string) {
	h.t.Helper()
	c := h.greeted()
	c.send("AUTH PLAIN " + plain + "\r\n")
	c.codes(want)
}

// replace puts a whole file in the place of another one.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A user store that fails, hangs or talks nonsense is never a wrong password.
func storeFails(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"error":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"refusal":  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"nonsense": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "yes") },
		"no word":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") },
		"cut off":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := httptest.NewServer(answer)
			t.Cleanup(service.Close)
			h := newHouse(t)
			h.options.Listeners[0].Auth = inbound.AuthRequired
			h.options.Users.HTTP = &auth.HTTPOptions{URL: service.URL}
			h.open().run()
			h.spool.excuse()
			h.greeted().talk(`
				C: AUTH PLAIN AGFubgBzZWNyZXQ=
				S: 454 4.7.0 Temporary authentication failure
				C: MAIL FROM:<a@example.com>
				S: 451 4.7.0 Not authenticated, which failed for now, try again later
				C: AUTH PLAIN
				S: 334 
				C: *
				S: 501 5.0.0 Negotiation cancelled
				C: MAIL FROM:<a@example.com>
				S: 451 4.7.0 Not authenticated, which failed for now, try again later`)
		})
	}
}

// SCRAM-SHA-256 is offered where all users can use it, and then to LOGIN and PLAIN too.
func authSCRAM(t *testing.T) {
	h := withUsers(t, inbound.AuthRequired)
	secret, err := auth.NewSecret(auth.SchemeSCRAM, "secret")
	if err != nil {
		t.Fatal(err)
	}
	write(t, h.options.Users.File, "ann:"+secret.String()+"\n")
	h.open().run()
	c := h.dial()
	c.talk("S: 220 mx.example.com ESMTP Postrider\nC: EHLO client.example")
	if offers := c.ehlo(); !slices.Contains(offers, "AUTH SCRAM-SHA-256 PLAIN LOGIN") {
		t.Errorf("offers %q", offers)
	}
	for _, try := range []struct{ user, password, want string }{
		{"ann", "wrong", "535 5.7.8 Authentication failed"},
		{"eve", "secret", "535 5.7.8 Authentication failed"},
		{"ann", "secret", "235 2.7.0 Authentication succeeded"},
	} {
		if got := c.scram(try.user, try.password); got != try.want {
			t.Errorf("%s %s: got %q, want %q", try.user, try.password, got, try.want)
		}
	}
	h.login("AGFubgBzZWNyZXQ=", "235")
}

// scram runs an exchange to its end and returns the last reply.
func (c *client) scram(user, password string) string {
	c.t.Helper()
	sasl, err := scram.SHA256.NewClient(user, password, "")
	if err != nil {
		c.t.Fatal(err)
	}
	conversation, command, challenge := sasl.NewConversation(), "AUTH SCRAM-SHA-256 ", ""
	for {
		var response string
		if !conversation.Done() {
			if response, err = conversation.Step(challenge); err != nil {
				c.t.Fatal(err)
			}
		}
		c.send(command + base64.StdEncoding.EncodeToString([]byte(response)) + "\r\n")
		command = ""
		reply := c.reply()
		text, more := strings.CutPrefix(reply, "334 ")
		if !more {
			return reply
		}
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			c.t.Fatal(err)
		}
		challenge = string(decoded)
	}
}

// Who guesses is told less and less, by name and by network; the log has the name.
func authGuessing(t *testing.T) {
	h := withUsers(t, inbound.AuthOptional)
	h.options.Users.Failures = auth.Rate{N: 2, Per: time.Hour}
	h.options.Users.Delay = -1
	h.open().run()
	h.greeted().talk(`
		C: AUTH PLAIN AGFubgB3cm9uZw==
		S: 535 5.7.8 Authentication failed
		C: AUTH PLAIN AGV2ZQB3cm9uZw==
		S: 535 5.7.8 Authentication failed
		C: AUTH PLAIN AGFubgBzZWNyZXQ=
		S: 421 4.7.0 Too many authentication failures from your network, try again later
		S: EOF`)
	var logins []string
	for _, r := range h.observer.AllRefused() {
		logins = append(logins, r.Stage+" "+r.Login)
	}
	if want := []string{"auth ann", "auth eve", "auth ann"}; !slices.Equal(logins, want) {
		t.Errorf("refusals %q, want %q", logins, want)
	}
}

// Without TLS there is no AUTH, not even on loopback, where that is configured.
func authNever(t *testing.T) {
	h := withUsers(t, inbound.AuthRequired)
	h.options.Listeners[0].AuthInsecure = inbound.AuthNever
	h.open().run()
	h.greeted().talk(`
		C: AUTH PLAIN AGFubgBzZWNyZXQ=
		S: 538 5.7.11 Encryption required for authentication`)
}

// The From field is the user's, where that is configured; without one it is not missed here.
func authFrom(t *testing.T) {
	h := withUsers(t, inbound.AuthRequired)
	h.options.Users.FromHeader = true
	h.open().run()
	c := h.greeted()
	c.talk("C: AUTH PLAIN AGJvYgBzZWNyZXQ=\nS: 235 2.7.0 Authentication succeeded")
	for _, test := range []struct{ header, want string }{
		{"From: Bob <BOB@example.com>", "250"},
		{"From: =?utf-8?q?B=C3=B6b?= <any@shop.example>, bob@example.com", "250"},
		{"From: =?gb2312?B?1dU=?=\r\n =?koi8-r?Q?=C2?=\r\n\t<bob@example.com>", "250"},
		{"From: B\xf6b\r\n <bob@example.com>", "250"},
		{"From: B\xf6b <bob@example.com>,\r\n =?gb2312?B?1dU=?= <ann@example.com>", "550"},
		{"Subject: no From", "250"},
		{"From: ann@example.com", "550 5.7.1 From address not allowed for this user"},
		{"From: bob@example.com\r\nFrom: ann@example.com", "550"},
		{"From: bob@example.com, ann@example.com", "550"},
		{"from : ann@example.com", "550"},
		{"From:\r\n ann@example.com", "550"},
		{"From: bob@example.com <ann@example.com>", "550"},
		{"From: undisclosed", "550"},
	} {
		c.send("MAIL FROM:<bob@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
		c.codes("250", "250", "354")
		c.send(test.header + "\r\n\r\nHello\r\n.\r\n")
		if got := c.reply(); !strings.HasPrefix(got, test.want) {
			t.Errorf("%q: got %q, want %s", test.header, got, test.want)
		}
	}
}

// Rates and quotas are the user's, over all sessions, and never a permanent refusal.
func authRates(t *testing.T) {
	h := withUsers(t, inbound.AuthRequired)
	text, err := os.ReadFile(h.options.Users.File)
	if err != nil {
		t.Fatal(err)
	}
	write(t, h.options.Users.File, strings.ReplaceAll(string(text), ":bob@example.com", ":rate=2/1h,quota=2,bob@example.com"))
	h.open().run()
	for _, want := range []string{"250 250 250 452", "250 452 452 452", "450 503 503 503"} {
		c := h.greeted()
		c.send("AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n")
		c.codes("235")
		c.send("MAIL FROM:<bob@example.com>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nRCPT TO:<d@example.org>\r\n")
		var got []string
		for range 4 {
			got = append(got, c.reply()[:3])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}
