package inbound_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/inbound"
	"postrider/inbound/auth"
	"postrider/relay"
)

// TestRates: over a rate mail waits, it is not refused for good, and the log has the reason.
func TestRates(t *testing.T) {
	t.Parallel()
	two := auth.Rate{N: 2, Per: time.Hour}
	for _, test := range []struct {
		name, script, cause string
		reason              relay.Reason
		limits              inbound.Limits
	}{
		{"messages of a client", `
			C: MAIL FROM:<a@example.com>
			S: 250 2.1.0 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: MAIL FROM:<b@example.com>
			S: 250 2.1.0 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: MAIL FROM:<c@example.com>
			S: 450 4.7.1 Too many messages, try again later`, "over the rate of 2/1h for messages of client", relay.ReasonRatePerClient, inbound.Limits{RatePerClient: two}},
		{"messages of a sender", `
			C: MAIL FROM:<a@example.com>
			S: 250 2.1.0 Ok
			C: RCPT TO:<b@example.org>
			S: 250 2.1.5 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: MAIL FROM:<A@Example.com>
			S: 250 2.1.0 Ok
			C: RCPT TO:<b@example.org>
			S: 250 2.1.5 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: MAIL FROM:<a@example.com>
			S: 450 4.7.1 Too many messages, try again later
			C: MAIL FROM:<b@example.com>
			S: 250 2.1.0 Ok
			C: RCPT TO:<b@example.org>
			S: 250 2.1.5 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: MAIL FROM:<>
			S: 250 2.1.0 Ok`, "messages of sender", relay.ReasonRatePerSender, inbound.Limits{RatePerSender: two}},
		{"messages of a user", `
			C: AUTH PLAIN AGFubgBzZWNyZXQ=
			S: 235 2.7.0 Authentication succeeded
			C: MAIL FROM:<a@example.com>
			S: 250 2.1.0 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: MAIL FROM:<b@example.com>
			S: 250 2.1.0 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: MAIL FROM:<c@example.com>
			S: 450 4.7.1 Too many messages, try again later`, "messages of user", relay.ReasonRatePerUser, inbound.Limits{RatePerUser: two}},
		{"recipients of a client", `
			C: MAIL FROM:<a@example.com>
			S: 250 2.1.0 Ok
			C: RCPT TO:<b@example.org>
			C: RCPT TO:<c@example.org>
			C: RCPT TO:<d@example.org>
			S: 250 2.1.5 Ok
			S: 250 2.1.5 Ok
			S: 452 4.7.1 Too many recipients, try again later
			C: DATA
			S: 354 End data with <CR><LF>.<CR><LF>
			C: .
			S: 250 2.0.0 Ok: queued as <id>`, "recipients of client", relay.ReasonRecipientRatePerClient, inbound.Limits{RecipientRatePerClient: two}},
		{"recipients of a user", `
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<b@example.org>
			C: RCPT TO:<c@example.org>
			C: RCPT TO:<d@example.org>
			C: RSET
			S: 250 2.1.0 Ok
			S: 250 2.1.5 Ok
			S: 250 2.1.5 Ok
			S: 250 2.1.5 Ok
			S: 250 2.0.0 Ok
			C: AUTH PLAIN AGFubgBzZWNyZXQ=
			S: 235 2.7.0 Authentication succeeded
			C: MAIL FROM:<a@example.com>
			S: 250 2.1.0 Ok
			C: RCPT TO:<b@example.org>
			S: 250 2.1.5 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: MAIL FROM:<b@example.com>
			C: RCPT TO:<b@example.org>
			C: RCPT TO:<c@example.org>
			S: 250 2.1.0 Ok
			S: 250 2.1.5 Ok
			S: 452 4.7.1 Too many recipients, try again later
			C: BDAT 2 LAST
			C:
			S: 250 2.0.0 Ok: queued as <id>`, "over the rate of 2/1h for recipients of user", relay.ReasonRecipientRatePerUser, inbound.Limits{RecipientRatePerUser: two}},
		{"recipients of a sender", `
			C: MAIL FROM:<a@example.com>
			S: 250 2.1.0 Ok
			C: RCPT TO:<b@example.org>
			S: 250 2.1.5 Ok
			C: RSET
			S: 250 2.0.0 Ok
			C: MAIL FROM:<A@Example.com>
			C: RCPT TO:<b@example.org>
			C: RCPT TO:<c@example.org>
			S: 250 2.1.0 Ok
			S: 250 2.1.5 Ok
			S: 452 4.7.1 Too many recipients, try again later
			C: BDAT 2 LAST
			C:
			S: 250 2.0.0 Ok: queued as <id>
			C: MAIL FROM:<b@example.com>
			C: RCPT TO:<c@example.org>
			C: RSET
			C: MAIL FROM:<>
			C: RCPT TO:<c@example.org>
			C: RCPT TO:<d@example.org>
			C: RCPT TO:<e@example.org>
			S: 250 2.1.0 Ok
			S: 250 2.1.5 Ok
			S: 250 2.0.0 Ok
			S: 250 2.1.0 Ok
			S: 250 2.1.5 Ok
			S: 250 2.1.5 Ok
			S: 250 2.1.5 Ok`, "over the rate of 2/1h for recipients of sender", relay.ReasonRecipientRatePerSender, inbound.Limits{RecipientRatePerSender: two}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := withUsers(t, inbound.AuthOptional)
			h.options.Limits = test.limits
			h.open().run().greeted().talk(test.script)
			refused := h.observer.AllRefused()
			if len(refused) != 1 || refused[0].Reason != test.reason || !strings.Contains(refused[0].Reply.Error(), test.cause) {
				t.Errorf("refusals %v, want one for %s because %q", refused, test.reason, test.cause)
			}
		})
	}
}

// TestListenerLimits: a listener's own limits hold there, and the others elsewhere.
func TestListenerLimits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Limits.RatePerClient = auth.Rate{N: 1, Per: time.Hour}
	h.options.Listeners = append(h.options.Listeners, inbound.Listener{Name: "own", Address: "127.0.0.1:0", Limits: inbound.Limits{
		MessageSize: 1000, Recipients: 1, MessagesPerConnection: 2, Errors: 3, Connections: 2, RatePerClient: auth.Rate{N: -1},
	}})
	h.open().run()
	c := h.greetedAt("own")
	c.send("EHLO client.example\r\n")
	if got := c.ehlo(); !slices.Contains(got, "SIZE 1000") || !slices.Contains(got, "LIMITS RCPTMAX=1 MAILMAX=2") {
		t.Errorf("offered are %v", got)
	}
	message := `
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		C: RCPT TO:<b@example.org>
		S: 250 2.1.5 Ok
		C: RCPT TO:<c@example.org>
		S: 452 4.5.3 Too many recipients, the limit is 1
		C: BDAT 2 LAST
		C:
		S: 250 2.0.0 Ok: queued as <id>`
	c.talk("C: MAIL FROM:<a@example.com> SIZE=1001\nS: 552 5.3.4 Message size exceeds the limit")
	c.talk(message)
	c.talk(message)
	h.greetedAt("own")
	h.dialAt("own").talk("S: 421 4.7.0 Too many connections, try again later\nS: EOF")
	c.talk("C: MAIL FROM:<a@example.com>\nS: 421 4.7.0 Too many messages in this session, connect again\nS: EOF")
	h.greetedAt("own").talk(`
		C: 1
		C: 2
		C: 3
		S: 500 5.5.2 Command not recognized
		S: 500 5.5.2 Command not recognized
		S: 500 5.5.2 Command not recognized
		S: 421 4.7.0 Too many errors, closing connection
		S: EOF`)
	h.greeted().talk(`
		C: MAIL FROM:<a@example.com> SIZE=1001
		C: RSET
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		S: 250 2.0.0 Ok
		S: 450 4.7.1 Too many messages, try again later`)
}

func TestConnectionsPerUser(t *testing.T) {
	t.Parallel()
	h := withUsers(t, inbound.AuthOptional)
	h.options.Limits.ConnectionsPerUser = 1
	h.open().run()
	first := h.greeted()
	first.talk("C: AUTH PLAIN AGFubgBzZWNyZXQ=")
	first.codes("235")
	second := h.greeted()
	second.talk("C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 421 4.7.0 Too many connections of this user, try again later\nS: EOF")
	bob := h.greeted()
	bob.talk("C: AUTH PLAIN AGJvYgBzZWNyZXQ=")
	bob.codes("235")
	first.talk("C: QUIT\nS: 221 2.0.0 Bye\nS: EOF")
	third := h.greeted()
	third.talk("C: AUTH PLAIN AGFubgBzZWNyZXQ=")
	third.codes("235")
}

// TestRefusedRecipientsOfSenders: what is refused is not counted on the sender's meter, which
// anybody could use up otherwise. On the client's own it is.
func TestRefusedRecipientsOfSenders(t *testing.T) {
	t.Parallel()
	two := auth.Rate{N: 2, Per: time.Hour}
	for _, test := range []struct {
		name   string
		limits inbound.Limits
		want   string
	}{
		{"sender", inbound.Limits{RecipientRatePerSender: two}, "250 2.1.5"},
		{"client", inbound.Limits{RecipientRatePerClient: two}, "452 4.7.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.options.Limits = test.limits
			h.policy.OnRcpt = func(_ *relay.Origin, _ *relay.Envelope, r relay.Recipient) *relay.Reply {
				return refusedIf(r.Address.Local == "not", relay.NewReply(550, relay.EnhancedCode{5, 7, 1}, "Not you"))
			}
			c := h.open().run().greeted()
			c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<not@example.org>\r\nRCPT TO:<not@example.org>\r\nRCPT TO:<b@example.org>\r\n")
			c.codes("250", "550", "550", test.want)
		})
	}
}
