package integration_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a next hop that keeps what it is sent byte for byte, dots and all. It knows
// no extensions.
type recorder struct {
	net.Listener
	mu       sync.Mutex
	messages []recorded
	changed  chan struct{}
}

type recorded struct{ from, raw string }

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Listener: l, changed: make(chan struct{}, 1)}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { r.session(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); sessions.Wait() })
	return r
}

func (r *recorder) session(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 recorder.test ESMTP\r\n")
	from := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case strings.HasPrefix(verb, "MAIL"):
			from = line
		case verb == "DATA":
			fmt.Fprint(conn, "354 Go on\r\n")
			raw, err := readData(in)
			if err != nil {
				return
			}
			r.keep(recorded{from, raw})
		case verb == "QUIT":
			fmt.Fprint(conn, "221 Bye\r\n")
			return
		}
		fmt.Fprint(conn, "250 Ok\r\n")
	}
}

// readData reads up to CRLF.CRLF and gives what came before the dot.
func readData(in *bufio.Reader) (string, error) {
	var raw strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == ".\r\n" && (raw.Len() == 0 || strings.HasSuffix(raw.String(), "\r\n")) {
			return raw.String(), nil
		}
		raw.WriteString(line)
	}
}

func (r *recorder) keep(m recorded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, m)
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// await waits for n messages, and gives all there are.
func (r *recorder) await(ctx context.Context, n int) ([]recorded, error) {
	for {
		r.mu.Lock()
		messages := append([]recorded(nil), r.messages...)
		r.mu.Unlock()
		if len(messages) >= n {
			return messages, nil
		}
		select {
		case <-r.changed:
		case <-ctx.Done():
			return messages, fmt.Errorf("%d messages of %d: %w", len(messages), n, ctx.Err())
		}
	}
}

// wrongEnds are what some servers take for the end of data, and RFC 5321 does not.
var wrongEnds = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r.\n", "\n.\r", "\n\n.\n\n", "\r\n.\r\r\n", "\r\n\x20.\r\n", "\r\n.\x0b\r\n",
	"\r\n. \r\n", "\r\r\n.\n", "\r\n.\n\r\n", "\r\n.\r\r\n.\r\r\n", "\r\n\t.\r\n",
}

const smuggled = "MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"

// TestSmuggling sends a transaction inside a message, behind everything that may pass for its end:
// one message goes in and one comes out, with nothing in it that any server could take
// for an end (conformance I06, T15).
func TestSmuggling(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	next := newRecorder(t)
	relay := startRelay(t, ctx, smartHost(next.Addr().String()))
	conn, err := textproto.Dial("tcp", relay.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	expect(t, conn, 220, "")
	expect(t, conn, 250, "EHLO client.test")
	sent := 0
	bodies := []string{".\n" + smuggled, ".\r" + smuggled, ".\r\r\n" + smuggled}
	for _, end := range wrongEnds {
		bodies = append(bodies, "Subject: x\r\n\r\nfirst"+end+smuggled)
	}
	for _, body := range bodies {
		envelope(t, conn)
		expect(t, conn, 354, "DATA")
		// A dot is stuffed only where the RFC says that a line begins.
		expect(t, conn, 250, strings.ReplaceAll("\r\n"+body, "\r\n..", "\r\n...")[2:]+"\r\n.")
		sent++
	}
	for _, body := range append(bodies, ".\r\n"+smuggled, "Subject: x\r\n\r\nfirst\r\n.\r\n"+smuggled, "Subject: x\r\n\r\n.\r\n.\r\n") {
		envelope(t, conn)
		conn.W.WriteString(fmt.Sprintf("BDAT %d LAST\r\n%s", len(body), body))
		expect(t, conn, 250, "")
		half := len(body) / 2
		envelope(t, conn)
		conn.W.WriteString(fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", half, body[:half], len(body)-half, body[half:]))
		expect(t, conn, 250, "")
		expect(t, conn, 250, "")
		sent += 2
	}
	messages, err := next.await(ctx, sent)
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) != sent {
		t.Errorf("%d messages, want %d", len(messages), sent)
	}
	end := regexp.MustCompile(`(^|[\r\n])\.[\r\n]`)
	for _, m := range messages {
		if !strings.Contains(m.from, "<a@example.com>") {
			t.Errorf("a message from %q", m.from)
		}
		if at := end.FindStringIndex(m.raw); at != nil || strings.Count(m.raw, "\r") != strings.Count(m.raw, "\r\n") || strings.Count(m.raw, "\n") != strings.Count(m.raw, "\r\n") {
			t.Errorf("%q could be taken for more than one message", m.raw)
		}
	}
}

// expect sends a line, if there is one, and reads a reply.
func expect(t *testing.T, c *textproto.Conn, code int, line string) {
	t.Helper()
	if line != "" {
		c.W.WriteString(line + "\r\n")
	}
	if err := c.W.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, text, err := c.ReadResponse(code); err != nil {
		t.Fatalf("%.60q: %v %s", line, err, text)
	}
}

func envelope(t *testing.T, c *textproto.Conn) {
	t.Helper()
	expect(t, c, 250, "MAIL FROM:<a@example.com>")
	expect(t, c, 250, "RCPT TO:<b@example.net>")
}
