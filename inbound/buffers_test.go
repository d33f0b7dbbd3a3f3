package inbound_test

import (
	"io"
	"testing"
)

// A session begins with empty buffers, whatever the one before left in its own: commands after QUIT, half a
// line, replies that nobody read.
func TestBuffersBeginEmpty(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.open().run()
	for range 50 {
		left := h.greeted()
		left.send("NOOP\r\nQUIT\r\nMAIL FROM:<ghost@example.com>\r\nRCPT TO:<gho")
		left.codes("250", "221")
		left.conn.Close()
		broken := h.dial()
		io.WriteString(broken.conn, "EHLO ghost.example\r\nMAIL FROM:<ghost@exa")
		broken.conn.Close()

		c := h.greeted()
		c.send("RCPT TO:<b@example.org>\r\n")
		c.codes("503") // no MAIL
		c.send("NOOP\r\nQUIT\r\n")
		c.codes("250", "221")
		if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
			t.Fatalf("after QUIT: got %q, %v, want nothing", rest, err)
		}
	}
}
