package outbound

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"postrider/relay"
)

const (
	// bufferSize is how much of a message is written at a time.
	bufferSize = 32 << 10
	// minRate, in bytes per second, is how slowly a peer may take a message. Without it one
	// that takes a block every few minutes would hold a connection for days.
	minRate = 4 << 10
)

// buffer is what sending a message needs, for as long as it takes.
type buffer struct {
	w    *bufio.Writer
	copy []byte
}

func newBuffer() *buffer {
	return &buffer{w: bufio.NewWriterSize(nil, bufferSize), copy: make([]byte, bufferSize)}
}

// text is the connection as the writer of a message, with deadlines.
type text struct {
	c     *conn
	until time.Time // for the whole message
}

// Write implements io.Writer.
func (t text) Write(p []byte) (int, error) {
	deadline := t.c.t.o.Now().Add(t.c.t.o.Timeouts.Block)
	if t.until.Before(deadline) {
		deadline = t.until
	}
	if err := t.c.writeBy(p, deadline); err != nil {
		return 0, err
	}
	return len(p), nil
}

// send sends the message after the 354 and takes the reply to it. It returns true when the
// peer took the message.
func (x *transaction) send() bool {
	local, lost := x.write()
	switch {
	case local != nil:
		// Without its dot the message is not delivered (RFC 5321 section 4.1.1.4).
		x.a.Local = local
		x.fail(relay.LocalError(local))
		return false
	case lost != nil:
		x.interrupted(lost)
		return false
	}
	a, err := x.c.read(x.c.t.o.Timeouts.Dot)
	if err != nil {
		// The peer may have the message. It is not to blame for the network.
		x.a.Ambiguous = true
		x.fail(x.c.lost("the end of the message, which it may have taken", err))
		return false
	}
	if a.code == 421 {
		x.closing(a)
		return false
	}
	x.c.messages++
	x.c.dirty = false
	if a.code/100 == 3 {
		x.lost("the end of the message", unexpected(a))
		return false
	}
	x.decide(x.accepted, a.reply())
	return a.code/100 == 2
}

// write writes header, body and the final dot. Local is a failure to read the message, lost
// one of the connection.
func (x *transaction) write() (local, lost error) {
	m := x.t.Message
	if _, err := x.t.Body.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("go to the start of the body: %w", err), nil
	}
	b := x.c.t.buffers.Get().(*buffer)
	defer x.c.t.buffers.Put(b)
	atMost := x.c.t.o.Timeouts.Block + time.Duration(m.Size/minRate)*time.Second
	b.w.Reset(text{x.c, x.within(atMost)})
	defer b.w.Reset(nil)

	d := &dotWriter{w: b.w}
	d.Write(m.Header)
	_, err := io.CopyBuffer(d, x.t.Body, b.copy)
	switch {
	case d.err != nil:
		return nil, d.err
	case err != nil:
		return fmt.Errorf("read the body: %w", err), nil
	case d.n != m.Size:
		return fmt.Errorf("read the body: %d bytes where the record says %d: %w", d.n, m.Size, relay.ErrCorrupt), nil
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return nil, b.w.Flush()
}

// interrupted handles a connection that broke before the final dot had been sent. A peer that
// hangs up may have said why; then that counts (conformance T08).
func (x *transaction) interrupted(err error) {
	a, readErr := x.c.read(x.c.t.o.Timeouts.Quit)
	if readErr != nil || a.code/100 < 4 {
		x.lost("the message", err)
		return
	}
	x.decide(x.accepted, a.reply())
	x.a.Setback = a.code/100 == 4
	x.fail(x.c.lost("the message", err))
}
