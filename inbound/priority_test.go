package inbound_test

import (
	"net/netip"
	"testing"

	"postrider/inbound"
)

// TestPriority: who is known may go first, anybody may go last (RFC 6710).
func TestPriority(t *testing.T) {
	t.Parallel()
	const (
		syntax  = "501 5.5.4 Syntax error in arguments"
		ok      = "250 2.1.0 Ok"
		lowered = "250 2.3.6 0 is the priority, more is for authenticated users"
		login   = "C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 235 2.7.0 Authentication succeeded\n"
	)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, test := range []struct {
		name, login, parameter, reply string
		trusted                       []netip.Prefix
		want                          int8
	}{
		{"stranger, higher", "", "MT-PRIORITY=4", lowered, nil, 0},
		{"stranger, lower", "", "mt-priority=-9", ok, nil, -9},
		{"stranger, none", "", "", ok, nil, 0},
		{"user", login, "MT-PRIORITY=9", ok, nil, 9},
		{"trusted network", "", "MT-PRIORITY=1", ok, loopback, 1},
		{"other network", "", "MT-PRIORITY=1", lowered, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, 0},
		{"too high", login, "MT-PRIORITY=10", syntax, nil, 0},
		{"too low", login, "MT-PRIORITY=-10", syntax, nil, 0},
		{"plus", login, "MT-PRIORITY=+1", syntax, nil, 0},
		{"zero in front", login, "MT-PRIORITY=01", syntax, nil, 0},
		{"minus zero", login, "MT-PRIORITY=-0", syntax, nil, 0},
		{"empty", login, "MT-PRIORITY", syntax, nil, 0},
		{"twice", login, "MT-PRIORITY=1 MT-PRIORITY=1", syntax, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := withUsers(t, inbound.AuthOptional)
			h.options.Listeners[0].MTPriority = test.trusted
			c := h.open().run().greeted()
			c.talk(test.login + "C: MAIL FROM:<a@example.com> " + test.parameter + "\nS: " + test.reply)
			if test.reply == syntax {
				return
			}
			c.talk("C: RCPT TO:<b@example.org>\nS: 250 2.1.5 Ok\nC: BDAT 2 LAST\nC:\nS: 250 2.0.0 Ok: queued as <id>")
			// What one message was granted is not the next one's.
			c.talk("C: MAIL FROM:<a@example.com>\nS: 250 2.1.0 Ok\nC: RCPT TO:<b@example.org>\nS: 250 2.1.5 Ok\nC: BDAT 2 LAST\nC:\nS: 250 2.0.0 Ok: queued as <id>")
			all := h.spool.all()
			if got := all[0].Envelope.Priority; got != test.want {
				t.Errorf("priority %d, want %d", got, test.want)
			}
			if got := all[1].Envelope.Priority; got != 0 {
				t.Errorf("the next message has priority %d", got)
			}
		})
	}
}
