package inbound_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"postrider/inbound"
)

// model predicts the codes of a session: what a correct server remembers, and nothing else.
type model struct {
	greeted, esmtp, user, mail bool
	accepted, refused          int
	committed                  int
}

func (m *model) reset() { m.mail, m.accepted, m.refused = false, 0, 0 }

// commands are what the random walks are made of. Each returns what is sent and the codes
// that must come.
var commands = []func(m *model) (send string, codes string){
	func(m *model) (string, string) {
		m.reset()
		m.greeted, m.esmtp = true, true
		return "EHLO client.example\r\n", "250"
	},
	func(m *model) (string, string) {
		m.reset()
		m.greeted, m.esmtp = true, false
		return "HELO client.example\r\n", "250"
	},
	func(m *model) (string, string) { m.reset(); return "RSET\r\n", "250" },
	func(m *model) (string, string) { return "NOOP\r\n", "250" },
	func(m *model) (string, string) { return "FROB\r\n", "500" },
	(*model).sendMail, (*model).sendMail, (*model).sendMail,
	(*model).sendRcpt, (*model).sendRcpt, (*model).sendRcpt,
	func(m *model) (string, string) {
		if !m.mail {
			return "RCPT TO:<>\r\n", "503"
		}
		m.refused++
		return "RCPT TO:<>\r\n", "501"
	},
	func(m *model) (string, string) { return m.content("DATA\r\n", "354") },
	func(m *model) (string, string) { return m.content("BDAT 12 LAST\r\nSubject: x\r\n", "250") },
	func(m *model) (string, string) { // a message that is refused
		if code := m.incomplete(); code != "" {
			return "BDAT 4 LAST\r\nx\x00\r\n", code
		}
		m.reset()
		return "BDAT 4 LAST\r\nx\x00\r\n", "550"
	},
	func(m *model) (string, string) { // a message that is given up
		if code := m.incomplete(); code != "" {
			return "BDAT 1\r\nxRSET\r\n", code + " 250"
		}
		return "BDAT 1\r\nxRSET\r\n", "250 250"
	},
	func(m *model) (string, string) {
		switch {
		case !m.greeted || !m.esmtp || m.user || m.mail:
			return "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", "503"
		}
		m.user = true
		return "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", "235"
	},
}

func (m *model) sendMail() (string, string) {
	switch {
	case !m.greeted, m.mail:
		return "MAIL FROM:<a@example.com>\r\n", "503"
	}
	m.mail = true
	return "MAIL FROM:<a@example.com>\r\n", "250"
}

func (m *model) sendRcpt() (string, string) {
	if !m.mail {
		return "RCPT TO:<b@example.org>\r\n", "503"
	}
	m.accepted++
	return "RCPT TO:<b@example.org>\r\n", "250"
}

func (m *model) incomplete() string {
	switch {
	case !m.mail || m.accepted+m.refused == 0:
		return "503"
	case m.accepted == 0:
		return "554"
	}
	return ""
}

func (m *model) content(send, code string) (string, string) {
	if refusal := m.incomplete(); refusal != "" {
		return send, refusal
	}
	m.reset()
	m.committed++
	return send, code
}

// randomCommands walks at random and compares every reply with the model's.
func randomCommands(t *testing.T) {
	h := withUsers(t, inbound.AuthOptional)
	h.options.Limits.Errors = 1 << 20
	h.open().run()
	for seed := range uint64(20) {
		before := len(h.spool.all())
		chance := rand.New(rand.NewPCG(seed, 0))
		m := &model{}
		c := h.dial()
		c.codes("220")
		var said strings.Builder
		for range 200 {
			send, codes := commands[chance.IntN(len(commands))](m)
			fmt.Fprintf(&said, "%q -> %s\n", send, codes)
			c.send(send)
			for want := range strings.FieldsSeq(codes) {
				if got := c.reply(); !strings.HasPrefix(got, want) {
					t.Fatalf("seed %d: got %q after\n%s", seed, got, said.String())
				}
			}
			if strings.HasSuffix(codes, "354") {
				c.send("Subject: x\r\n.\r\n")
				c.codes("250")
			}
			if strings.HasSuffix(send, "RSET\r\n") {
				m.reset()
			}
		}
		if got := len(h.spool.all()) - before; got != m.committed {
			t.Errorf("seed %d: %d messages, want %d", seed, got, m.committed)
		}
		c.conn.Close()
	}
}
