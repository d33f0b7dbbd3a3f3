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

// borrow takes a buffer whose writer goes to the connection.
func (x *transaction) borrow() *buffer {
	b := x.c.t.buffers.Get().(*buffer)
	o := &x.c.t.o
	atMost := o.Timeouts.Block + time.Duration(x.t.Message.Size/minRate)*time.Second
	b.w.Reset(text{x.c, x.within(atMost)})
	return b
}

func (x *transaction) giveBack(b *buffer) {
	b.w.Reset(nil)
	x.c.t.buffers.Put(b)
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

// content gets the message to the peer and takes the reply to it. It returns true when the
// peer took the message.
func (x *transaction) content() bool {
	switch {
	case x.whole:
		return x.end()
	case !x.chunked && !x.data(), x.chunked && len(x.accepted) == 0:
		return false
	}
	local, lost := x.write()
	switch {
	case local != nil:
		// Without its end the message is not delivered (RFC 5321 section 4.1.1.4).
		x.a.Local = local
		x.fail(relay.LocalError(local))
		return false
	case lost != nil && x.c.ahead == nil:
		x.interrupted(lost)
		return false
	}
	// Where it broke with more behind the end of the message, the end may be out: its reply counts.
	x.committed = true
	return x.end()
}

// end takes the reply to the end of the message.
func (x *transaction) end() bool {
	// Where nobody was accepted the end of a message delivers nothing, as in a chunk that was in
	// flight with the recipients (conformance T03).
	x.ended, x.committed = x.ended || len(x.accepted) > 0, len(x.accepted) > 0
	x.a.EightBit = x.a.EightBit || x.unconverted()
	deadline := x.within(x.c.t.o.Timeouts.Dot)
	x.recall()
	if x.c.route.LMTP {
		return x.endEach(deadline)
	}
	a, err := x.c.readBy(deadline)
	if err != nil {
		x.lost("the end of the message, which it may have taken", err)
		return false
	}
	if a.code == 421 {
		x.closing(a)
		return false
	}
	x.committed = false
	if a.code/100 == 3 {
		x.lost("the end of the message", unexpected(a))
		return false
	}
	x.c.messages++
	// A BDAT that failed leaves a state that only RSET ends (RFC 3030 section 2).
	x.c.dirty = x.chunked && (a.code/100 != 2 || len(x.accepted) == 0)
	if x.chunked && 500 <= a.code && a.code <= 504 && len(x.accepted) > 0 {
		a = x.unchunked(a)
	}
	x.decide(x.accepted, a.reply())
	if a.code/100 == 4 && x.c.route.MX {
		x.refuse(x.accepted...)
	}
	return a.code/100 == 2
}

// unconverted says that the message is 8-bit text, as far as its client and its header say, and that
// the peer does not say that it takes such (conformance T13).
func (x *transaction) unconverted() bool {
	m := x.t.Message
	return !x.c.features.eightBit && (m.Envelope.EightBit || !isASCII(m.Header))
}

// unchunked remembers that BDAT does not get through to a host although it is offered, as it
// happens with filters in between. Next time there is DATA.
func (x *transaction) unchunked(a answerLines) answerLines {
	x.c.t.noChunking.remember(x.c.remote.String())
	said := a.reply()
	return answerLines{code: 451, lines: []string{"4.5.0 BDAT is offered and was refused: " + said.String()}}
}

// contentWriter puts a message into the form that its command wants.
type contentWriter interface {
	io.Writer
	// end marks the end of the message. It fails where the message is not as long as announced.
	end() error
	// written is how much of the message there was, and the first error of the connection.
	written() (n int64, err error)
}

// write writes header, body and the end. Local is a failure to read the message, lost one of
// the connection.
func (x *transaction) write() (local, lost error) {
	m := x.t.Message
	if _, err := x.t.Body.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("go to the start of the body: %w", err), nil
	}
	b := x.borrow()
	defer x.giveBack(b)
	var w contentWriter = &dotWriter{w: b.w}
	if x.chunked {
		x.say(b, fmt.Sprintf("BDAT %d LAST", m.Size))
		w = &chunkWriter{w: b.w, size: m.Size}
	}
	_, err := w.Write(m.Header)
	if err == nil {
		err = x.copyBody(w, b)
	}
	n, broken := w.written()
	switch {
	case broken != nil:
		return nil, broken
	case err != nil:
		return fmt.Errorf("read the body: %w", err), nil
	case n != m.Size:
		return fmt.Errorf("read the body: %d bytes where the record says %d: %w", n, m.Size, relay.ErrCorrupt), nil
	}
	if err := w.end(); err != nil {
		return nil, err
	}
	x.follow(b)
	return nil, b.w.Flush()
}

// copyBody writes the body, and takes down how long the message is.
func (x *transaction) copyBody(w io.Writer, b *buffer) error {
	if x.c.transcript == nil {
		_, err := io.CopyBuffer(w, x.t.Body, b.copy)
		return err
	}
	var length relay.Length
	_, _ = length.Write(x.t.Message.Header) // it cannot fail
	_, err := io.CopyBuffer(io.MultiWriter(w, &length), x.t.Body, b.copy)
	x.c.transcript.Content(relay.Us, length)
	return err
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
