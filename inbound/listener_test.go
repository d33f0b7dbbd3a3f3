package inbound_test

import (
	"slices"
	"strings"
	"testing"

	"postrider/inbound"
)

func TestDiscard(t *testing.T) {
	t.Parallel()
	h, _ := withTLS(t, inbound.TLSStartTLS)
	h.options.Listeners[0].Discard = []string{"chunking", "DSN", "Size", "8BITMIME", "SMTPUTF8", "STARTTLS", "AUTH", "LIMITS", "MT-Priority"}
	c := h.open().run().dial()
	c.codes("220")
	c.send("EHLO client.example\r\n")
	if got, want := c.ehlo(), []string{"PIPELINING", "ENHANCEDSTATUSCODES"}; !slices.Equal(got, want) {
		t.Errorf("offered are %v, want %v", got, want)
	}
	const parameter = "S: 555 5.5.4 Parameter not recognized or not implemented"
	for _, p := range []string{"SIZE=10", "BODY=8BITMIME", "SMTPUTF8", "RET=FULL", "ENVID=x", "MT-PRIORITY=-1"} {
		c.talk("C: MAIL FROM:<a@example.com> " + p + "\n" + parameter)
	}
	c.talk("C: MAIL FROM:<a@example.com>\nS: 250 2.1.0 Ok\nC: RCPT TO:<b@example.org> NOTIFY=NEVER\n" + parameter)
	c.talk("C: RCPT TO:<b@example.org> ORCPT=rfc822;b@example.org\n" + parameter)
	c.talk("C: STARTTLS\nS: 502 5.5.1 TLS is not available here\nC: AUTH PLAIN\nS: 502 5.5.1 Authentication is not available here")
	c.talk("C: BDAT 4 LAST\nC: QUIT\nS: 500 5.5.2 Command not recognized\nS: EOF")
}

// unqualifiedAddresses are taken from old devices, and completed.
func unqualifiedAddresses(t *testing.T) {
	h := newHouse(t)
	h.options.Listeners[0].Profile = inbound.ProfileLegacy
	h.open().run().dial().talk(`
		S: 220 mx.example.com ESMTP Postrider
		C: HELO
		S: 250 mx.example.com
		C: MAIL FROM: root
		S: 250 2.1.0 Ok
		C: RCPT TO:<admin>
		S: 250 2.1.5 Ok
		C: RCPT TO:<Postmaster>
		S: 250 2.1.5 Ok
		C: DATA
		S: 354 End data with <CR><LF>.<CR><LF>
		C: .
		S: 250 2.0.0 Ok: queued as <id>`)
	e := h.spool.all()[0].Envelope
	if e.Sender.String() != "root@mx.example.com" || e.Recipients[0].Address.String() != "admin@mx.example.com" || e.Recipients[1].Address.String() != "Postmaster" {
		t.Errorf("envelope %+v", e)
	}
	newHouse(t).open().run().greeted().talk("C: MAIL FROM:<root>\nS: 501 5.1.7 Bad sender address syntax")
}

func strictLineEnds(t *testing.T) {
	h := newHouse(t)
	h.options.Listeners[0].Strict = true
	h.open().run()
	for _, body := range []string{"one\ntwo", "one\rtwo", "one\n.\r\ntwo", "one\r\r\n.two"} {
		c := h.data()
		c.send("Subject: x\r\n\r\n" + body + "\r\n.\r\n")
		c.talk("S: 550 5.6.11 Message contains a bare CR or LF\nC: NOOP\nS: 250 2.0.0 Ok")
	}
	c := h.data()
	c.send("Subject: x\r\n\r\n" + strings.Repeat("x", 999) + "\r\n.\r\n")
	c.talk("S: 550 5.6.0 Message contains a line over 998 characters")
	c = h.data()
	c.send("Subject: x\r\n\r\none\r\n" + strings.Repeat("x", 998) + "\r\n.\r\n")
	c.codes("250")
}

// submission completes what a mail program sends; a relay leaves it alone.
func submission(t *testing.T) {
	for _, submits := range []bool{true, false} {
		h := newHouse(t)
		h.options.Listeners[0].Submission, h.options.Listeners[0].HideClient = submits, submits
		h.open().run()
		c := h.data()
		subject := strings.Repeat("word ", 300) + "\r\n"
		c.send("To: root, b@example.org\r\nSubject: " + subject + "Bcc: secret@example.org\r\n\r\nhello\r\n.\r\n")
		c.codes("250")
		m := h.spool.all()[0]
		for _, text := range []string{"\r\nDate: ", "\r\nMessage-ID: <", "From: <a@example.com>\r\n", "To: root@mx.example.com, b@"} {
			if got := strings.Contains(string(m.Header), text); got != submits {
				t.Errorf("submission %v: %q in the header: %v\n%s", submits, text, got, m.Header)
			}
		}
		for _, text := range []string{subject, "secret@example.org", "client.example", "127.0.0.1"} {
			if got := strings.Contains(string(m.Header), text); got == submits {
				t.Errorf("submission %v: %q in the header: %v\n%s", submits, text, got, m.Header)
			}
		}
		if m.Size != int64(len(m.Header)+len(m.body)) {
			t.Errorf("size %d, want %d", m.Size, len(m.Header)+len(m.body))
		}
	}
}
