package inbound_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/inbound"
	"postrider/inbound/auth"
	"postrider/relay"
)

// reasons are the limits and what else may be refused, each met in a session: what a client
// does, and the one reason that the observer must hear.
var reasons = []struct {
	want   relay.Reason
	change func(*house)
	script string
}{
	{relay.ReasonErrors, func(h *house) { h.options.Limits.Errors = 1 }, "C: FROB\nS: 500 5.5.2 Command not recognized\nS: 421 4.7.0 Too many errors, closing connection\nS: EOF"},
	{relay.ReasonCommands, func(h *house) { h.options.Limits.Commands = 2 }, "C: NOOP\nS: 250 2.0.0 Ok\nS: 421 4.7.0 Too many commands without a message, closing connection\nS: EOF"},
	{relay.ReasonCommandLength, nil, "C: NOOP " + strings.Repeat("x", 4096) + "\nS: 500 5.5.2 Command line too long"},
	{relay.ReasonSize, nil, "C: MAIL FROM:<a@example.com> SIZE=99999999999\nS: 552 5.3.4 Message size exceeds the limit"},
	{relay.ReasonRecipients, func(h *house) { h.options.Limits.Recipients = 1 }, upToRecipient + "C: RCPT TO:<c@example.org>\nS: 452 4.5.3 Too many recipients, the limit is 1"},
	{relay.ReasonMessagesPerConnection, func(h *house) { h.options.Limits.MessagesPerConnection = 1 },
		upToRecipient + "C: BDAT 2 LAST\nC:\nS: 250 2.0.0 Ok: queued as <id>\nC: MAIL FROM:<a@example.com>\nS: 421 4.7.0 Too many messages in this session, connect again\nS: EOF"},
	{relay.ReasonAuth, func(h *house) { h.options.Listeners[0].Auth = inbound.AuthRequired }, "C: MAIL FROM:<a@example.com>\nS: 530 5.7.0 Authentication required"},
	{relay.ReasonCredentials, nil, "C: AUTH PLAIN AGFubgB3cm9uZw==\nS: 535 5.7.8 Authentication failed"},
	{relay.ReasonAuthFailures, func(h *house) {
		h.options.Users.Failures = auth.Rate{N: 1, Per: time.Hour}
		h.options.Users.Delay = -1
	}, "C: AUTH PLAIN AGFubgB3cm9uZw==\nS: 535 5.7.8 Authentication failed\nC: AUTH PLAIN AGFubgB3cm9uZw==\nS: 421 4.7.0 Too many authentication failures from your network, try again later\nS: EOF"},
	{relay.ReasonSender, nil, "C: AUTH PLAIN AGJvYgBzZWNyZXQ=\nS: 235 2.7.0 Authentication succeeded\nC: MAIL FROM:<a@example.com>\nS: 553 5.7.1 Sender address not allowed for this user"},
	{relay.ReasonConnectionsPerUser, func(h *house) { h.options.Limits.ConnectionsPerUser = 1 },
		"C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 421 4.7.0 Too many connections of this user, try again later\nS: EOF"},
	{relay.ReasonPolicy, func(h *house) {
		h.policy.OnMail = func(*relay.Origin, *relay.Envelope) *relay.Reply {
			return relay.NewReply(550, relay.EnhancedCode{5, 7, 1}, "No")
		}
	}, "C: MAIL FROM:<a@example.com>\nS: 550 5.7.1 No"},
	{relay.ReasonHops, nil, upToRecipient + "C: DATA\nS: 354 End data with <CR><LF>.<CR><LF>\n" + strings.Repeat("C: Received: x\n", 50) + "C: .\nS: 554 5.4.6 Too many hops, this message is looping"},
	{relay.ReasonContent, nil, upToRecipient + "C: BDAT 4 LAST\nC: \x00x\nS: 550 5.6.0 Message contains a NUL character"},
	{relay.ReasonAborted, nil, upToRecipient + "C: BDAT 3\nC: x\nS: 250 2.0.0 Ok, more\nC: RSET\nS: 250 2.0.0 Ok"},
	{relay.ReasonLocal, func(h *house) { h.spool.onCommit = func() error { return errDisk } }, upToRecipient + "C: BDAT 2 LAST\nC:\nS: " + localError},
	{relay.ReasonStorage, func(h *house) { h.spool.onAdmit = func() error { return relay.StorageFull(errDisk) } },
		"C: MAIL FROM:<a@example.com>\nS: 452 4.3.1 Insufficient system storage, try again later"},
}

var errDisk = errors.New("the disk is broken")

const upToRecipient = "C: MAIL FROM:<a@example.com>\nS: 250 2.1.0 Ok\nC: RCPT TO:<b@example.org>\nS: 250 2.1.5 Ok\n"

// TestReasons: whatever is refused has a reason that a metric can be labelled with.
func TestReasons(t *testing.T) {
	t.Parallel()
	for _, test := range reasons {
		t.Run(string(test.want), func(t *testing.T) {
			t.Parallel()
			h := withUsers(t, inbound.AuthOptional)
			if test.change != nil {
				test.change(h)
			}
			h.open().run()
			if test.want == relay.ReasonConnectionsPerUser {
				h.greeted().talk("C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 235 2.7.0 Authentication succeeded")
			}
			h.greeted().talk(test.script)
			refused := h.observer.AllRefused()
			if len(refused) == 0 {
				t.Fatal("the observer heard nothing")
			}
			// What comes before it is the failure that was counted.
			if got := refused[len(refused)-1].Reason; got != test.want || !slices.Contains(relay.Reasons(), got) {
				t.Errorf("refused for %q, want %q: %v", got, test.want, refused)
			}
		})
	}
}

// TestReasonCutOff: a client that goes away inside a message is no fault of ours.
func TestReasonCutOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t).open().run()
	c := h.data()
	c.send("Subject: x\r\n\r\nhalf")
	c.conn.Close()
	h.stop()
	if err := <-h.ended; err != nil {
		t.Fatal(err)
	}
	refused := h.observer.AllRefused()
	if len(refused) != 1 || refused[0].Reason != relay.ReasonAborted || refused[0].Stage != "data" {
		t.Errorf("refused %v, want one for %s", refused, relay.ReasonAborted)
	}
	if n := len(h.spool.all()); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}
