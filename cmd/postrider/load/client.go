package load

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// client is one SMTP session of the load generator.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	// wait bounds each wait for the server.
	wait     time.Duration
	now      func() time.Time
	pipeline bool
	sent     int
	// release ends the watch over the context that dial was given.
	release func() bool
}

// message is one transaction; its content is head and pad.
type message struct {
	from string
	to   []string
	head bytes.Buffer
	pad  []byte
}

// answer is a reply that was not the wanted one.
type answer struct {
	code int
	text string
}

func (r *answer) Error() string { return fmt.Sprintf("%d %s", r.code, r.text) }

// dial opens a session and greets.
func dial(ctx context.Context, o *Options) (*client, error) {
	dialer := net.Dialer{Timeout: o.Timeout}
	conn, err := dialer.DialContext(ctx, "tcp", o.To)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReader(conn), w: bufio.NewWriterSize(conn, 16<<10), wait: o.Timeout, now: o.Now}
	c.release = context.AfterFunc(ctx, c.hurry)
	if err := c.greet(ctx, o); err != nil {
		c.abandon()
		return nil, err
	}
	return c, nil
}

func (c *client) greet(ctx context.Context, o *Options) error {
	if _, err := c.expect(ctx, 2); err != nil {
		return err
	}
	fmt.Fprintf(c.w, "EHLO %s\r\n", o.Helo)
	lines, err := c.expect(ctx, 2)
	if err == nil && o.TLS {
		lines, err = c.encrypt(ctx, o)
	}
	c.pipeline = o.Pipeline && strings.Contains(strings.ToUpper(lines), "PIPELINING")
	return err
}

// encrypt runs STARTTLS and greets again.
func (c *client) encrypt(ctx context.Context, o *Options) (string, error) {
	fmt.Fprint(c.w, "STARTTLS\r\n")
	if _, err := c.expect(ctx, 2); err != nil {
		return "", err
	}
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	c.arm(ctx)
	if err := conn.HandshakeContext(ctx); err != nil {
		return "", err
	}
	c.r, c.w = bufio.NewReader(conn), bufio.NewWriterSize(conn, 16<<10)
	fmt.Fprintf(c.w, "EHLO %s\r\n", o.Helo)
	return c.expect(ctx, 2)
}

// send runs one transaction and gives how long the server took for its 250 after the
// final dot. Every command waits for its reply unless commands are pipelined.
func (c *client) send(ctx context.Context, m message) (time.Duration, error) {
	commands := []string{"MAIL FROM:<" + m.from + ">\r\n"}
	for _, r := range m.to {
		commands = append(commands, "RCPT TO:<"+r+">\r\n")
	}
	for _, command := range commands {
		c.w.WriteString(command)
		if c.pipeline {
			continue
		}
		if _, err := c.expect(ctx, 2); err != nil {
			return 0, err
		}
	}
	c.w.WriteString("DATA\r\n")
	if err := c.expectData(ctx, len(commands)); err != nil {
		return 0, err
	}
	c.arm(ctx)
	c.w.Write(m.head.Bytes())
	c.w.Write(m.pad)
	c.w.WriteString(".\r\n")
	if err := c.w.Flush(); err != nil {
		return 0, err
	}
	start := c.now()
	_, err := c.expect(ctx, 2)
	c.sent++
	return c.now().Sub(start), err
}

// expectData reads the reply to DATA, and before it those to the commands that were
// pipelined. The first refusal is the error; a 354 after one is answered with a lone dot,
// so that the session stays in step (RFC 2920 section 3.1).
func (c *client) expectData(ctx context.Context, pipelined int) error {
	var refusal *answer
	for ; c.pipeline && pipelined > 0; pipelined-- {
		var reply *answer
		if _, err := c.expect(ctx, 2); err != nil && !errors.As(err, &reply) {
			return err
		}
		refusal = cmp.Or(refusal, reply)
	}
	_, err := c.expect(ctx, 3)
	if refusal == nil {
		return err
	}
	if err == nil {
		c.w.WriteString(".\r\n")
		_, err = c.expect(ctx, 2)
	}
	var reply *answer
	if err != nil && !errors.As(err, &reply) {
		return err
	}
	return refusal
}

// expect sends what is to be sent and reads a reply, which is an error unless its code
// is of the class.
func (c *client) expect(ctx context.Context, class int) (text string, err error) {
	c.arm(ctx)
	if err := c.w.Flush(); err != nil {
		return "", err
	}
	for more := true; more; {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		var code int
		var rest string
		if code, more, rest, err = parseReplyLine(line); err != nil {
			return "", err
		}
		text += rest + "\n"
		if !more && code/100 != class {
			return "", &answer{code: code, text: strings.TrimSpace(text)}
		}
	}
	return text, nil
}

// arm bounds what comes next. The deadline is set before ctx is looked at, so that the end
// of ctx, which shortens it, cannot be overwritten.
func (c *client) arm(ctx context.Context) {
	c.conn.SetDeadline(c.now().Add(c.wait))
	if ctx.Err() != nil {
		c.hurry()
	}
}

// hurry leaves a transaction that is under way a moment to end.
func (c *client) hurry() { c.conn.SetDeadline(c.now().Add(grace)) }

// grace is how long the end of a run waits for the replies that are still due.
const grace = time.Second

// parseReplyLine reads "250-text" or "250 text" (RFC 5321 section 4.2).
func parseReplyLine(line []byte) (code int, more bool, text string, err error) {
	trimmed := strings.TrimRight(string(line), "\r\n")
	if len(trimmed) >= 3 {
		code, err = strconv.Atoi(trimmed[:3])
	}
	if code < 200 || code > 599 || err != nil || len(trimmed) > 3 && trimmed[3] != ' ' && trimmed[3] != '-' {
		return 0, false, "", fmt.Errorf("not an SMTP reply: %q", trimmed)
	}
	if len(trimmed) == 3 {
		return code, false, "", nil
	}
	return code, trimmed[3] == '-', trimmed[4:], nil
}

// reset gives up a transaction that was refused; false when the session is of no more use.
func (c *client) reset(ctx context.Context) bool {
	c.w.WriteString("RSET\r\n")
	_, err := c.expect(ctx, 2)
	return err == nil
}

// close takes leave; what the server says to it does not matter.
func (c *client) close(ctx context.Context) {
	c.w.WriteString("QUIT\r\n")
	c.expect(ctx, 2)
	c.abandon()
}

// abandon closes the connection without a word.
func (c *client) abandon() {
	c.release()
	c.conn.Close()
}
