package inbound_test

import (
	"fmt"
	"strings"
	"testing"

	"postrider/relay"
)

func small(t *testing.T) *house {
	h := newHouse(t)
	h.options.Limits.MessageSize = 10_000
	return h.open().run()
}

func tooLarge(t *testing.T) {
	h := small(t)
	c := h.data()
	c.send("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 78)+"\r\n", 200) + ".\r\n")
	c.talk(`
		S: 552 5.3.4 Message size exceeds the limit
		C: RCPT TO:<b@example.org>
		S: 503 5.5.1 Need MAIL command first`)
	if n := len(h.spool.all()); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

func farTooLarge(t *testing.T) {
	h := small(t)
	c := h.data()
	// The end is not sent: the server must not wait for it for ever.
	c.send("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 78)+"\r\n", 1000))
	if got, want := c.line(), "552 5.3.4 Message size exceeds the limit"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func malformedBDAT(t *testing.T) {
	for _, argument := range []string{"", "x", "-1", "+1", "5 LATS", "5 LAST x", "99999999999999999999", "5  x"} {
		h := newHouse(t).open().run()
		h.ready().talk("C: BDAT " + argument + `
			C: MAIL FROM:<smuggled@example.com>
			S: 501 5.5.4 Syntax error in arguments
			S: EOF`)
	}
}

func chunksAfterError(t *testing.T) {
	h := small(t)
	c := h.ready()
	c.send("BDAT 9000\r\n" + strings.Repeat("x", 9000))
	c.talk("S: 250 2.0.0 Ok, more")
	c.send("BDAT 9000\r\n" + strings.Repeat("RSET\r\n", 1500))
	c.talk("S: 552 5.3.4 Message size exceeds the limit")
	c.send("BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n")
	c.talk(`
		S: 503 5.5.1 Need MAIL command first
		S: 503 5.5.1 Need MAIL command first
		C: NOOP
		S: 250 2.0.0 Ok`)
}

func commandsBetweenChunks(t *testing.T) {
	h := newHouse(t).open().run()
	c := h.ready()
	c.talk(`
		C: BDAT 6
		C: abcd
		S: 250 2.0.0 Ok, more
		C: DATA
		S: 503 5.5.1 Not allowed between BDAT chunks
		C: NOOP
		S: 250 2.0.0 Ok
		C: RSET
		S: 250 2.0.0 Ok
		C: RCPT TO:<b@example.org>
		S: 503 5.5.1 Need MAIL command first
		C: BDAT 6 LAST
		C: QUIT
		S: 503 5.5.1 Need MAIL command first`)
	for _, end := range []string{"C: HELO again.example\nS: 250 mx.example.com", "C: QUIT\nS: 221 2.0.0 Bye\nS: EOF"} {
		h.ready().talk("C: BDAT 2\nC:\nS: 250 2.0.0 Ok, more\n" + end)
	}
	if n := len(h.spool.all()); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

func manyChunks(t *testing.T) {
	h := newHouse(t).open().run()
	c := h.ready()
	const n = 10_000
	body := strings.Repeat("0123456\r\n", n/9)
	text := "\r\n" + body // no header, then the body
	go func() {
		var b strings.Builder
		for i := range len(text) - 1 {
			fmt.Fprintf(&b, "BDAT 1\r\n%c", text[i])
		}
		fmt.Fprintf(&b, "BDAT 1 LAST\r\n%c", text[len(text)-1])
		c.conn.Write([]byte(b.String())) // a failure shows in the replies
	}()
	for range len(text) - 1 {
		if got := c.line(); got != "250 2.0.0 Ok, more" {
			t.Fatalf("got %q", got)
		}
	}
	c.talk("S: 250 2.0.0 Ok: queued as <id>")
	if got := h.spool.all()[0].body; got != body {
		t.Errorf("body of %d bytes, want %d, cut in chunks", len(got), len(body))
	}
}

func cutOffChunk(t *testing.T) {
	h := newHouse(t).open().run()
	c := h.ready()
	c.send("BDAT 100 LAST\r\nSubject: x\r\n\r\nhalf")
	c.conn.(interface{ CloseWrite() error }).CloseWrite()
	if got := c.line(); got != "EOF" {
		t.Errorf("got %q, want the end", got)
	}
	if n := len(h.spool.all()); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

func tooLargeChunk(t *testing.T) {
	h := small(t)
	c := h.ready()
	c.send("BDAT 100000 LAST\r\n" + strings.Repeat("x", 99_000))
	if got, want := c.line(), "552 5.3.4 Message size exceeds the limit"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// wrongEnds are what lax servers take for the end of data.
var wrongEnds = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r.\n", "\n.\r", "\n\n.\n\n",
	"\r\n.\r\r\n", "\r\n\x20.\r\n", "\r\n..\r\n", "\r\n.\x0b\r\n", "\r\n. \r\n", "\r\r\n.\n", "\r\n.\n\r\n",
}

// smuggling sends a second transaction behind each of them, and as the very first line.
func smuggling(t *testing.T) {
	h := newHouse(t).open().run()
	const second = "MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nsmuggled\r\n"
	contents := []string{".\n" + second, ".\r" + second, ".\r\r\n" + second}
	for _, end := range wrongEnds {
		contents = append(contents, "Subject: x\r\n\r\nfirst"+end+second)
	}
	for _, content := range contents {
		for _, size := range []int{len(content) + 3, 1} {
			before := len(h.spool.all())
			c := h.data()
			text := content + "\r\n.\r\n"
			for text != "" {
				n := min(size, len(text))
				c.send(text[:n])
				text = text[n:]
			}
			c.talk(`
				S: 250 2.0.0 Ok: queued as <id>
				C: QUIT
				S: 221 2.0.0 Bye
				S: EOF`)
			messages := h.spool.all()[before:]
			if len(messages) != 1 {
				t.Fatalf("%q in writes of %d: %d messages, want one", content, size, len(messages))
			}
			if m := messages[0]; !strings.Contains(string(m.Header)+m.body, "smuggled") || m.Envelope.Sender.Local != "a" {
				t.Errorf("%q in writes of %d: arrived as %+v %s", content, size, m.Envelope, m.body)
			}
			c.conn.Close()
		}
	}
}

func lineEnds(t *testing.T) {
	h := newHouse(t).open().run()
	c := h.data()
	c.send("Subject: x\r\n\r\none\ntwo\rthree\r\n..four\r\n.\r\n")
	c.codes("250")
	if got, want := h.spool.all()[0].body, "one\r\ntwo\r\nthree\r\n.four\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
	c.codes("250", "250", "354")
	c.send("Subject: x\r\n\r\none\x00two\r\n.\r\n")
	c.talk("S: 550 5.6.0 Message contains a NUL character")
}

func longBodyLines(t *testing.T) {
	h := newHouse(t).open().run()
	for i, n := range []int{2_100, 10_000, 200_000} {
		c := h.data()
		body := strings.Repeat("x", n) + "\r\n"
		c.send("Subject: x\r\n\r\n" + body + ".\r\n")
		c.codes("250")
		if got := h.spool.all()[i].body; got != body {
			t.Errorf("a line of %d bytes arrived as %d bytes", n, len(got)-2)
		}
	}
}

func goneAfterDot(t *testing.T) {
	h := newHouse(t)
	committing, gone := make(chan struct{}), make(chan struct{})
	h.policy.OnData = func(*relay.Message) *relay.Reply {
		close(committing)
		<-gone
		return nil
	}
	h.open().run()
	c := h.data()
	c.send("Subject: x\r\n.\r\n")
	<-committing
	c.conn.(interface{ SetLinger(int) error }).SetLinger(0) // the server's write meets a reset
	c.conn.Close()
	close(gone)
	h.stop()
	if err := <-h.ended; err != nil {
		t.Fatal(err)
	}
	if n := len(h.spool.all()); n != 1 {
		t.Errorf("%d messages, want one", n)
	}
}

func TestPostfixLikeSessions(t *testing.T) {
	t.Parallel()
	h := newHouse(t).open().run()
	c := h.greeted()
	for range 3 {
		c.talk(`
			C: MAIL FROM:<> SIZE=100 BODY=8BITMIME
			C: RCPT TO:<b@example.org> ORCPT=rfc822;b@example.org
			C: DATA
			S: 250 2.1.0 Ok
			S: 250 2.1.5 Ok
			S: 354 End data with <CR><LF>.<CR><LF>
			C: Subject: x
			C:
			C: body
			C: .
			C: RSET
			S: 250 2.0.0 Ok: queued as <id>
			S: 250 2.0.0 Ok`)
	}
	if n := len(h.spool.all()); n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
}

// noHeader sends what does not begin with a header section: a blank line comes between ours
// and it, and a line of a mailbox file goes.
func noHeader(t *testing.T) {
	h := newHouse(t).open().run()
	for _, test := range []struct{ content, header, body string }{
		{"hello there\r\n", "", "hello there\r\n"},
		{"\r\nhello\r\n", "", "hello\r\n"},
		{"From a@b Sat Nov 21 10:00:00 2026\r\nSubject: x\r\n\r\nhello\r\n", "Subject: x\r\n", "hello\r\n"},
		{"Subject: x\r\nhello there\r\n", "Subject: x\r\n", "hello there\r\n"},
	} {
		c := h.data()
		c.send(test.content + ".\r\n")
		c.codes("250")
		all := h.spool.all()
		m := all[len(all)-1]
		header := string(m.Header)
		if !strings.HasPrefix(header, "Received: ") || !strings.HasSuffix(header, "\r\n"+test.header+"\r\n") || m.body != test.body {
			t.Errorf("%q arrived as %q and %q", test.content, header, m.body)
		}
	}
}
