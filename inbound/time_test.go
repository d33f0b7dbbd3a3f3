package inbound_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
)

// pipes is a listener whose connections are pipes: they wait by the clock of a
// synctest bubble, and keep the server's writes apart.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(t testing.TB) *client {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	c := newClient(t, ours)
	ours.SetDeadline(time.Time{}) // a bubble that stops moving is found out
	return c
}

// inBubble runs a session with the clock of a bubble. The client is past RCPT.
func inBubble(t *testing.T, change func(*house), run func(*house, *client)) {
	synctest.Test(t, func(t *testing.T) {
		at := newPipes()
		h := newHouse(t)
		if change != nil {
			change(h)
		}
		h.openAt(at)
		ctx, cancel := context.WithCancel(context.Background())
		h.stop = cancel
		go func() {
			h.ended <- h.server.Run(ctx)
			close(h.ended)
		}()
		c := at.dial(t)
		c.codes("220")
		c.send("EHLO client.example\r\n")
		c.ehlo()
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\n")
		c.codes("250", "250")
		run(h, c)
		cancel()
		if err := <-h.ended; err != nil {
			t.Error(err)
		}
		h.noFaults()
		c.conn.Close()
	})
}

// took fails the test unless the time since then is what is wanted.
func took(t testing.TB, began time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(began); got != want {
		t.Errorf("took %s, want %s", got, want)
	}
}

func idle(t *testing.T) {
	inBubble(t, nil, func(h *house, c *client) {
		began := time.Now()
		c.talk("S: 421 4.4.2 Timeout, closing connection\nS: EOF")
		took(t, began, 5*time.Minute)
	})
}

// drip sends the text again and again until the connection ends. What it returns waits
// for that.
func (c *client) drip(text string, every time.Duration) func() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := io.WriteString(c.conn, text); err != nil {
				return
			}
			time.Sleep(every)
		}
	}()
	return func() { <-ended }
}

// slowCommand sends a byte a minute: the time is for the whole line.
func slowCommand(t *testing.T) {
	inBubble(t, nil, func(h *house, c *client) {
		began := time.Now()
		defer c.drip("x", time.Minute)()
		c.talk("S: 421 4.4.2 Timeout, closing connection\nS: EOF")
		took(t, began, 5*time.Minute)
	})
}

const body = "Subject: x\r\n\r\nMAIL FROM:<evil@example.com>\r\nRCPT TO:<v@example.org>\r\nDATA\r\n"

// stalledData stops in the middle of a body that looks like commands.
func stalledData(t *testing.T) {
	inBubble(t, nil, func(h *house, c *client) {
		c.send("DATA\r\n")
		c.codes("354")
		c.send(body)
		began := time.Now()
		c.talk("S: 421 4.4.2 Timeout, closing connection\nS: EOF")
		took(t, began, 5*time.Minute)
		if n := len(h.spool.all()); n != 0 {
			t.Errorf("%d messages, want none", n)
		}
		h.refusedAsSlow(relay.ReasonIdle)
	})
}

// refusedAsSlow checks that the reason of the end was reported, once.
func (h *house) refusedAsSlow(reason relay.Reason) {
	h.t.Helper()
	refused := h.observer.AllRefused()
	if len(refused) != 1 || refused[0].Reply.Code != 421 || refused[0].Reason != reason || refused[0].Stage != "data" || !strings.Contains(refused[0].Reply.Error(), "bytes of a message in") {
		h.t.Errorf("refusals %v, want one at data for %s", refused, reason)
	}
}

func stalledChunk(t *testing.T) {
	inBubble(t, nil, func(h *house, c *client) {
		c.send("BDAT 1000 LAST\r\n" + body)
		began := time.Now()
		c.talk("S: 421 4.4.2 Timeout, closing connection\nS: EOF")
		took(t, began, 5*time.Minute)
		if n := len(h.spool.all()); n != 0 {
			t.Errorf("%d messages, want none", n)
		}
	})
}

// slowData never pauses for long but is under the least rate: ten bytes a second of the
// hundred that are asked for.
func slowData(t *testing.T) {
	inBubble(t, func(h *house) { h.options.Limits.DataMinRate = 100 }, func(h *house, c *client) {
		c.send("DATA\r\n")
		c.codes("354")
		began := time.Now()
		defer c.drip("QUIT\r\n..\r\n", time.Second)()
		c.talk("S: 421 4.4.2 Timeout, closing connection\nS: EOF")
		if got := time.Since(began); got < 5*time.Minute || got > 6*time.Minute {
			t.Errorf("ended after %s, want 5 to 6 minutes", got)
		}
		h.refusedAsSlow(relay.ReasonDataRate)
	})
}

func TestDataTotal(t *testing.T) {
	t.Parallel()
	inBubble(t, func(h *house) { h.options.Limits.DataTotal = time.Minute }, func(h *house, c *client) {
		c.send("DATA\r\n")
		c.codes("354")
		began := time.Now()
		defer c.drip(strings.Repeat("x", 2000)+"\r\n", time.Second)()
		c.talk("S: 421 4.4.2 Timeout, closing connection\nS: EOF")
		took(t, began, time.Minute)
		h.refusedAsSlow(relay.ReasonDataTotal)
	})
}

// TestDataTotalOfAStream never stops sending: it is told why the session ends all the same.
func TestDataTotalOfAStream(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Limits.DataTotal = 50 * time.Millisecond
	c := h.open().run().data()
	go func() {
		lines := []byte(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 1000))
		for {
			if _, err := c.conn.Write(lines); err != nil {
				return
			}
		}
	}()
	c.codes("421 4.4.2 Timeout, closing connection")
	c.conn.Close()
}

// TestSilentPeer never reads: the session must not outlive the idle time.
func TestSilentPeer(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(h *house, c *client) {
		began := time.Now()
		c.send("NOOP\r\n")
		if _, err := c.conn.Write([]byte("NOOP\r\n")); err == nil {
			t.Error("the server went on reading")
		}
		took(t, began, 5*time.Minute)
	})
}

// TestCoalescedReplies counts the writes that a pipelined group is answered with.
func TestCoalescedReplies(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(h *house, c *client) {
		c.send(strings.Repeat("RCPT TO:<c@example.org>\r\n", 49) + "DATA\r\n")
		buf := make([]byte, 64<<10)
		n, err := c.conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(buf[:n]), "\r\n"); got != 50 {
			t.Errorf("the first write has %d replies, want all 50", got)
		}
		c.send(".\r\n")
		c.codes("250")
	})
}

// drainGrace leaves a message unfinished.
func drainGrace(t *testing.T) {
	inBubble(t, nil, func(h *house, c *client) {
		c.send("DATA\r\n")
		c.codes("354")
		began := time.Now()
		h.stop()
		c.talk("S: EOF")
		<-h.ended
		took(t, began, 30*time.Second)
	})
}
