package inbound_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"postrider/relay"
)

const (
	modelRecipients = 3
	modelSize       = 1000
)

// model predicts a session: what a correct server remembers, and nothing else.
type model struct {
	chance                     *rand.Rand
	greeted, esmtp, tls, over  bool
	user                       string
	mail                       bool
	envelope                   relay.Envelope
	refused, deferred, hasRcpt bool
	letters                    int
	committed                  []letter
}

// letter is a message that was accepted, as it must have arrived.
type letter struct {
	envelope       relay.Envelope
	user, protocol string
	encrypted      bool
	header, body   string
}

// step is what a client sends with the codes that must come, in the state that the model has when
// the server gets to it.
type step struct {
	send, codes string
	// waits says that the client waits for the reply before it sends more (RFC 2920 section
	// 3.1, RFC 3207 section 4, RFC 4954 section 4), then what it sends after it, to get thenCodes.
	waits           bool
	then, thenCodes string
}

// commands are what the random walks are made of. Those that bring a message nearer are in it
// more often.
var commands = slices.Concat(
	[]func(m *model) step{
		(*model).hello, (*model).rset, (*model).sendRefused, (*model).sendAborted, (*model).sendAuth, (*model).sendStartTLS,
		func(m *model) step { return step{send: "NOOP\r\n", codes: "250"} },
		func(m *model) step { return step{send: "VRFY b@example.org\r\n", codes: "252"} },
		func(m *model) step { return step{send: "FROB\r\n", codes: "500"} },
		func(m *model) step {
			if m.sometimes(4) { // there are longer sessions, too
				return m.quit()
			}
			return m.rset()
		},
	},
	slices.Repeat([]func(m *model) step{(*model).sendMail}, 10),
	slices.Repeat([]func(m *model) step{(*model).sendRcpt}, 12),
	slices.Repeat([]func(m *model) step{(*model).sendData, (*model).sendChunks, (*model).sendChunks}, 2),
)

// next is any command, but a session does not go on for long without a greeting.
func (m *model) next() step {
	if !m.greeted && m.sometimes(3) {
		return m.hello()
	}
	return pick(m, commands...)(m)
}

func (m *model) reset() {
	m.mail, m.envelope, m.hasRcpt, m.refused, m.deferred = false, relay.Envelope{}, false, false, false
}

func (m *model) rset() step { m.reset(); return step{send: "RSET\r\n", codes: "250"} }

func (m *model) quit() step {
	m.over = true
	return step{send: "QUIT\r\n", codes: "221", waits: true}
}

func (m *model) hello() step {
	m.reset()
	m.greeted, m.esmtp = true, m.chance.IntN(3) > 0
	if m.esmtp {
		return step{send: "EHLO client.example\r\n", codes: "250", waits: true}
	}
	return step{send: "HELO client.example\r\n", codes: "250", waits: true}
}

// sometimes is true in one of n cases.
func (m *model) sometimes(n int) bool { return m.chance.IntN(n) == 0 }

func pick[T any](m *model, of ...T) T { return of[m.chance.IntN(len(of))] }

// address is what the text says, which has no quotes.
func address(text string) relay.Address {
	local, domain, _ := strings.Cut(text, "@")
	return relay.Address{Local: local, Domain: domain}
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > '~' })
}

// sendMail has any of the parameters. Some senders are refused, and what they asked for with them.
func (m *model) sendMail() step {
	sender := pick(m, "a@example.com", "c@example.net", "d@example.com", "")
	if m.sometimes(4) {
		sender = pick(m, "é@example.com", "never@example.com")
	}
	e := relay.Envelope{Sender: address(sender)}
	send, size := "MAIL FROM:<"+sender+">", 0
	add := func(format string, args ...any) { send += " " + fmt.Sprintf(format, args...) }
	if m.sometimes(2) {
		e.SMTPUTF8 = true
		add("SMTPUTF8")
	}
	if m.sometimes(3) {
		e.EightBit = m.sometimes(2)
		add("BODY=%s", map[bool]string{true: "8BITMIME", false: "7bit"}[e.EightBit])
	}
	if m.sometimes(6) {
		e.RequireTLS = true
		add("REQUIRETLS")
	}
	if m.sometimes(3) {
		e.Return = pick(m, relay.ReturnFull, relay.ReturnHeaders)
		add("RET=%s", map[relay.Return]string{relay.ReturnFull: "full", relay.ReturnHeaders: "HDRS"}[e.Return])
	}
	if m.sometimes(3) {
		n := m.chance.IntN(100)
		e.EnvelopeID = fmt.Sprintf("id+%d", n)
		add("ENVID=id+2B%d", n)
	}
	if m.sometimes(3) {
		size = pick(m, 1, 10, modelSize, modelSize+1)
		add("SIZE=%d", size)
	}
	if m.sometimes(4) {
		n := pick[int8](m, -4, 4)
		add("MT-PRIORITY=%d", n)
		if e.Priority = n; m.user == "" { // only users may go first
			e.Priority = min(n, 0)
		}
	}
	unknown := m.sometimes(15)
	if unknown {
		add("COLOUR=red")
	}
	send += "\r\n"
	switch {
	case !m.greeted, m.mail:
		return step{send: send, codes: "503"}
	case unknown:
		return step{send: send, codes: "555"}
	case e.RequireTLS && !m.tls:
		return step{send: send, codes: "530"}
	case !isASCII(sender) && !e.SMTPUTF8:
		return step{send: send, codes: "553"}
	case size > modelSize:
		return step{send: send, codes: "552"}
	case e.Sender.Local == "never":
		return step{send: send, codes: "550"}
	}
	m.mail, m.envelope = true, e
	return step{send: send, codes: "250"}
}

// notifies are the sets of conditions of NOTIFY; there is none for that which makes no sense.
var notifies = map[string]relay.Notify{
	"NEVER": relay.NotifyNever, "SUCCESS": relay.NotifySuccess, "FAILURE,delay": relay.NotifyFailure | relay.NotifyDelay, "NEVER,SUCCESS": 0,
}

func (m *model) sendRcpt() step {
	text := pick(m, "b@example.org", "c@example.org", "d@example.net", "e@example.org", "é@example.org")
	if m.sometimes(4) {
		text = pick(m, "later@example.org", "", "x@")
	}
	r := relay.Recipient{Address: address(text)}
	send := "RCPT TO:<" + text + ">"
	syntax := text == ""
	if m.sometimes(3) {
		set := pick(m, "NEVER", "SUCCESS", "FAILURE,delay", "NEVER,SUCCESS")
		r.Notify = notifies[set]
		syntax = syntax || r.Notify == 0
		send += " NOTIFY=" + set
	}
	if m.sometimes(3) {
		n := m.chance.IntN(100)
		r.Original = fmt.Sprintf("rfc822;o+%d@example.org", n)
		send += fmt.Sprintf(" ORCPT=rfc822;o+2B%d@example.org", n)
	}
	if !m.mail {
		return step{send: send + "\r\n", codes: "503"}
	}
	code := m.rcpt(r, syntax || text == "x@")
	m.refused = m.refused || code != "250"
	m.deferred = m.deferred || code[0] == '4'
	return step{send: send + "\r\n", codes: code}
}

// rcpt is the reply to a recipient, who is in the envelope if it is 250.
func (m *model) rcpt(r relay.Recipient, syntax bool) string {
	switch {
	case syntax:
		return "501"
	case !isASCII(r.Address.Local) && !m.envelope.SMTPUTF8:
		return "553"
	}
	for _, other := range m.envelope.Recipients {
		if other.Address == r.Address {
			return "250" // and what was asked for first stays
		}
	}
	switch {
	case len(m.envelope.Recipients) == modelRecipients:
		return "452"
	case r.Address.Local == "later":
		return "450"
	}
	m.envelope.Recipients = append(m.envelope.Recipients, r)
	m.hasRcpt = true
	return "250"
}

// incomplete is the reply to content that no message can be made of, "" where one can.
func (m *model) incomplete() string {
	switch {
	case !m.mail:
		return "503"
	case m.hasRcpt:
		return ""
	case m.deferred:
		return "451"
	case m.refused:
		return "554"
	}
	return "503"
}

// text is a new message's content, like no other's.
func (m *model) text() (header, body string) {
	m.letters++
	return fmt.Sprintf("Subject: letter %d\r\n\r\n", m.letters), fmt.Sprintf("This is letter %d.\r\n.\r\n", m.letters)
}

func (m *model) commit(header, body string) {
	protocol := "SMTP"
	if m.esmtp {
		protocol = "ESMTP" + map[bool]string{true: "S"}[m.tls] + map[bool]string{true: "A"}[m.user != ""]
	}
	m.committed = append(m.committed, letter{envelope: m.envelope, user: m.user, protocol: protocol, encrypted: m.tls, header: header, body: body})
	m.reset()
}

func (m *model) sendData() step {
	if code := m.incomplete(); code != "" {
		return step{send: "DATA\r\n", codes: code, waits: true}
	}
	if m.sometimes(5) {
		m.reset()
		return step{send: "DATA\r\n", codes: "354", waits: true, then: "Subject: no letter\r\n\r\n\x00\r\n.\r\n", thenCodes: "550"}
	}
	header, body := m.text()
	m.commit(header, body)
	return step{send: "DATA\r\n", codes: "354", waits: true, then: header + strings.ReplaceAll(body, "\r\n.", "\r\n..") + ".\r\n", thenCodes: "250"}
}

func bdat(content, last string) string {
	return fmt.Sprintf("BDAT %d%s\r\n%s", len(content), last, content)
}

// sendChunks sends a message in one chunk or two, any of which may be empty, with commands between
// them that are no part of it.
func (m *model) sendChunks() step {
	header, body := m.text()
	text, code := header+body, m.incomplete()
	cut := pick(m, 0, len(text), 1+m.chance.IntN(len(text)-1))
	switch {
	case code != "" && m.sometimes(2):
		return step{send: bdat(text, " LAST"), codes: code}
	case code != "":
		return step{send: bdat(text[:cut], "") + bdat(text[cut:], " LAST"), codes: code + " " + code}
	}
	m.commit(header, body)
	if m.sometimes(3) {
		return step{send: bdat(text, " last"), codes: "250"}
	}
	s := step{send: bdat(text[:cut], ""), codes: "250"}
	if m.sometimes(2) {
		s.send += pick(m, "RCPT TO:<late@example.org>\r\n", "MAIL FROM:<late@example.com> SMTPUTF8\r\n", "VRFY b@example.org\r\n", "STARTTLS\r\n")
		s.codes += " 503"
	}
	if m.sometimes(4) {
		s.send += "NOOP\r\nFROB\r\n"
		s.codes += " 250 500"
	}
	s.send += bdat(text[cut:], " LAST")
	s.codes += " 250"
	return s
}

// sendRefused sends chunks with a content that is refused. Nothing of the message is left to the
// chunk after that.
func (m *model) sendRefused() step {
	content, refusal := "x\x00\r\n", "550"
	code := m.incomplete()
	if code == "" && m.sometimes(3) { // without a message to refuse, this much would end the session
		content, refusal = strings.Repeat("x: y\r\n", modelSize/6+1), "552"
	}
	after := code
	if code == "" {
		m.reset()
		code, after = refusal, "503"
	}
	if m.sometimes(2) {
		return step{send: bdat(content, " LAST"), codes: code}
	}
	return step{send: bdat(content, "") + bdat("\r\n", " LAST"), codes: code + " " + after}
}

// sendAborted begins a message that is given up.
func (m *model) sendAborted() step {
	code := m.incomplete()
	if code == "" {
		code = "250"
	}
	s := pick(m, (*model).rset, (*model).rset, (*model).hello, (*model).quit)(m)
	s.send, s.codes = bdat(pick(m, "", "x", "Subject: no letter\r\n\r\n"), "")+s.send, code+" "+s.codes
	return s
}

func (m *model) sendAuth() step {
	s := step{send: "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", codes: "235", waits: true}
	given, wrong := m.sometimes(3), m.sometimes(3)
	switch {
	case given:
		s = step{send: "AUTH LOGIN\r\n", codes: "334", waits: true, then: "*\r\n", thenCodes: "501"}
	case wrong:
		s = step{send: "AUTH PLAIN AGFubgB3cm9uZw==\r\n", codes: "535", waits: true}
	}
	switch {
	case !m.greeted || !m.esmtp || m.user != "" || m.mail:
		return step{send: s.send, codes: "503", waits: true}
	case !given && !wrong:
		m.user = "ann"
	}
	return s
}

func (m *model) sendStartTLS() step {
	s := step{send: "STARTTLS\r\n", waits: true}
	switch {
	case m.tls:
		s.codes = "554"
	case !m.greeted || m.mail || m.user != "":
		s.codes = "503"
	default:
		m.reset()
		m.tls, m.greeted, m.esmtp, s.codes = true, false, false, "220"
	}
	return s
}
