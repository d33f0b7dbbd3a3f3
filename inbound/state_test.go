package inbound_test

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"postrider/inbound"
	"postrider/relay"
)

// model predicts the codes of a session: what a correct server remembers, and nothing else.
type model struct {
	greeted, esmtp, user, tls, mail bool
	accepted, refused               int
	deferred                        bool
	committed                       int
}

func (m *model) reset() { m.mail, m.accepted, m.refused, m.deferred = false, 0, 0, false }

// commands are what the random walks are made of. Each returns what is sent and the codes
// that must come, in the state that the model has when the server gets to it.
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
	func(m *model) (string, string) {
		if !m.mail {
			return "RCPT TO:<later@example.org>\r\n", "503"
		}
		m.refused, m.deferred = m.refused+1, true
		return "RCPT TO:<later@example.org>\r\n", "450"
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
	(*model).sendAuth,
	func(m *model) (string, string) { // an exchange that is given up
		if m.sendsAuth() {
			return "AUTH LOGIN\r\n", "334"
		}
		return "AUTH LOGIN\r\n", "503"
	},
	(*model).sendStartTLS,
}

func (m *model) sendsAuth() bool { return m.greeted && m.esmtp && !m.user && !m.mail }

func (m *model) sendAuth() (string, string) {
	if !m.sendsAuth() {
		return "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", "503"
	}
	m.user = true
	return "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", "235"
}

func (m *model) sendStartTLS() (string, string) {
	switch {
	case m.tls:
		return "STARTTLS\r\n", "554"
	case !m.greeted || m.mail || m.user:
		return "STARTTLS\r\n", "503"
	}
	m.reset()
	m.tls, m.greeted, m.esmtp = true, false, false
	return "STARTTLS\r\n", "220"
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
	case m.accepted == 0 && m.deferred:
		return "451"
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

// endsGroup says whether the client must wait for the reply before it sends more (RFC 2920
// section 3.1, RFC 3207 section 4, RFC 4954 section 4).
func endsGroup(send string) bool {
	for _, verb := range []string{"EHLO", "HELO", "DATA", "AUTH", "STARTTLS"} {
		if strings.HasPrefix(send, verb) {
			return true
		}
	}
	return false
}

// group is what a client sends at once, with the codes that must come.
func (m *model) group(chance *rand.Rand, most int) (send, codes string) {
	for range 1 + chance.IntN(most) {
		s, c := commands[chance.IntN(len(commands))](m)
		if strings.HasSuffix(s, "RSET\r\n") {
			m.reset()
		}
		send, codes = send+s, codes+" "+c
		if endsGroup(s) {
			break
		}
	}
	return send, codes
}

// randomCommands walks at random, one command at a time and in pipelined groups, and
// compares every reply with the model's.
func randomCommands(t *testing.T) {
	h, config := withTLS(t, inbound.TLSStartTLS)
	h.options.Limits.Errors, h.options.Limits.Commands = 1<<20, 1<<20
	h.policy.OnRcpt = func(_ *relay.Origin, _ *relay.Envelope, r relay.Recipient) *relay.Reply {
		return refusedIf(r.Address.Local == "later", relay.NewReply(450, relay.EnhancedCode{4, 2, 0}, "Not now"))
	}
	h.open().run()
	for seed := range uint64(40) {
		h.walk(seed, 1+int(seed%2)*7, config)
	}
}

func (h *house) walk(seed uint64, most int, config *tls.Config) {
	h.t.Helper()
	before := len(h.spool.all())
	chance := rand.New(rand.NewPCG(seed, 0))
	m := &model{}
	c := h.dial()
	defer c.conn.Close()
	c.codes("220")
	var said strings.Builder
	for range 200 {
		inClear := !m.tls
		send, codes := m.group(chance, most)
		fmt.Fprintf(&said, "%q -> %s\n", send, codes)
		c.send(send)
		for want := range strings.FieldsSeq(codes) {
			if got := c.reply(); !strings.HasPrefix(got, want) {
				h.t.Fatalf("seed %d: got %q after\n%s", seed, got, said.String())
			}
		}
		if strings.HasSuffix(codes, "354") {
			c.send("Subject: x\r\n.\r\n")
			c.codes("250")
		}
		if strings.HasSuffix(codes, "334") {
			c.send("*\r\n")
			c.codes("501")
		}
		if inClear && m.tls {
			c.startTLS(config)
		}
	}
	if got := len(h.spool.all()) - before; got != m.committed {
		h.t.Errorf("seed %d: %d messages, want %d", seed, got, m.committed)
	}
}

func refusedIf(refused bool, reply *relay.Reply) *relay.Reply {
	if refused {
		return reply
	}
	return nil
}
