package inbound

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"postrider/relay"
)

const (
	// bufferSize is the size of the buffer that a session reads through. No command line
	// can be longer.
	bufferSize = 16 << 10
	// handshakeTimeout bounds a TLS handshake.
	handshakeTimeout = 30 * time.Second
)

var (
	errLineTooLong = errors.New("command line too long")
	errDraining    = errors.New("the server is shutting down")
)

// wire is a session's connection. Replies are collected and sent when the client is waited
// for: a pipelined group is answered with one write. All reads are bounded in time. It
// belongs to the session's goroutine, save for drain and cut.
type wire struct {
	raw    net.Conn
	conn   net.Conn // raw, or the TLS connection over it
	in     *bufio.Reader
	out    *bufio.Writer
	limits Limits
	now    func() time.Time
	// until is when the command that is being read must have ended.
	until time.Time
	// failed is the error that ended reading.
	failed error
	// parting says that the connection is closed after what is sent now.
	parting bool
	// transcript takes down what is said, nil where nobody wants to read it, and length is that of
	// the message that is being received.
	transcript *relay.Transcript
	length     relay.Length

	mu       sync.Mutex
	draining bool
	pace     *pace // set while a message is received
}

func newWire(conn net.Conn, limits Limits, now func() time.Time) *wire {
	w := &wire{raw: conn, conn: conn, limits: limits, now: now}
	w.in, w.out = readers.Get().(*bufio.Reader), writers.Get().(*bufio.Writer)
	w.in.Reset(source{w})
	w.out.Reset(sink{w})
	return w
}

// Buffers of sessions that have ended are for the next ones: many clients open a connection for each
// message.
var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}
	writers = sync.Pool{New: func() any { return bufio.NewWriter(nil) }}
)

// free gives the buffers back. It is the last that happens to a wire.
func (w *wire) free() {
	w.in.Reset(nil)
	w.out.Reset(nil)
	readers.Put(w.in)
	writers.Put(w.out)
	w.in, w.out = nil, nil
}

// source is what wire.in reads from. It is read only when the buffer is empty, that is when
// the client's next bytes are waited for, and the client may be waiting for our replies.
type source struct{ w *wire }

func (s source) Read(p []byte) (int, error) {
	n, err := s.w.receive(p)
	if err != nil {
		s.w.failed = err
	}
	return n, err
}

func (w *wire) receive(p []byte) (int, error) {
	if err := w.out.Flush(); err != nil {
		return 0, err
	}
	if err := w.arm(); err != nil {
		return 0, err
	}
	n, err := w.conn.Read(p)
	late := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case w.pace != nil:
		w.pace.received += int64(n)
		if late {
			err = w.pace.late.Because(fmt.Errorf("%d bytes of a message in %s: %w", w.pace.received, w.now().Sub(w.pace.began), err))
		}
	case late && w.isDraining():
		err = errDraining
	}
	return n, err
}

// arm sets the deadline of the next read.
func (w *wire) arm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pace != nil {
		return w.raw.SetReadDeadline(w.pace.next(w.now(), w.limits))
	}
	if w.draining {
		return errDraining
	}
	return w.raw.SetReadDeadline(w.until)
}

// sink is what wire.out writes to.
type sink struct{ w *wire }

func (s sink) Write(p []byte) (int, error) {
	if err := s.w.raw.SetWriteDeadline(s.w.now().Add(s.w.limits.Idle)); err != nil {
		return 0, err
	}
	n, err := s.w.send(p)
	s.w.transcript.Answers(relay.Us, p[:n])
	return n, err
}

// readLine reads a command line of up to limit bytes and returns it without its end. A
// longer line is swallowed, in bounded memory and time. The line is valid until the next read.
func (w *wire) readLine(limit int) ([]byte, error) {
	w.until = w.now().Add(w.limits.Idle)
	line, err := w.in.ReadSlice('\n')
	length := len(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = w.in.ReadSlice('\n')
		length += len(line)
	}
	if err != nil {
		return nil, err
	}
	if length > limit {
		return nil, errLineTooLong
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

// setPace says that a message is being received from now on, or with nil that none is.
func (w *wire) setPace(p *pace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pace = p
}

// pace is how a message's content comes in.
type pace struct {
	began    time.Time
	received int64
	// late is what is said when nothing comes until the deadline.
	late *relay.Reply
}

// next is when more of the content must have arrived: after Idle at the latest, and
// on the whole at the least rate and within the total (conformance I13).
func (p *pace) next(now time.Time, l Limits) time.Time {
	idle := now.Add(l.Idle)
	byRate := p.began.Add(l.Idle + time.Duration(float64(p.received)/float64(l.DataMinRate)*float64(time.Second)))
	total := p.began.Add(l.DataTotal)
	switch {
	case total.Before(idle) && total.Before(byRate):
		p.late = replyDataTotal
		return total
	case byRate.Before(idle):
		p.late = replyDataRate
		return byRate
	}
	p.late = &replyIdle
	return idle
}

// hasInput says whether the client has sent something that is not read yet, without waiting.
func (w *wire) hasInput() bool {
	c, ok := w.raw.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	has := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		has = err == nil && n > 0
		return true
	})
	return err == nil && has
}

// startTLS makes the rest of the session encrypted. What the client sent in clear ahead of
// the handshake is forgotten (RFC 3207 section 4.2), save for what is given as its beginning. The
// connection is of no use after an error.
func (w *wire) startTLS(ctx context.Context, config *tls.Config, ahead []byte) (tls.ConnectionState, error) {
	begun := &resumed{w.raw, bytes.Clone(ahead)}
	w.in.Reset(source{w})
	w.until = w.now().Add(min(handshakeTimeout, w.limits.Idle))
	if err := w.arm(); err != nil {
		return tls.ConnectionState{}, err
	}
	if err := w.raw.SetWriteDeadline(w.until); err != nil {
		return tls.ConnectionState{}, err
	}
	conn := tls.Server(begun, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, fmt.Errorf("TLS handshake: %w", err)
	}
	w.conn = conn
	return conn.ConnectionState(), nil
}

// resumed is a connection of which some has been read ahead.
type resumed struct {
	net.Conn
	ahead []byte
}

func (r *resumed) Read(p []byte) (int, error) {
	if len(r.ahead) > 0 {
		n := copy(p, r.ahead)
		r.ahead = r.ahead[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// drain ends the session at its next command, and at once if it waits for one.
func (w *wire) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = true
	if w.pace == nil {
		w.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

func (w *wire) isDraining() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.draining
}

// cut ends the session now.
func (w *wire) cut() { w.raw.Close() }

// unexpected makes an error of reading the content the client's: it went away. io.EOF would
// pass for the end of the message.
func unexpected(err error) error {
	if err == nil {
		return nil
	}
	if _, told := errors.AsType[*relay.Reply](err); told {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return replyAborted.Because(err)
}
