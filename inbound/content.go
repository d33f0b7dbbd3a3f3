package inbound

import (
	"bytes"
	"io"
)

// content is a message as the client sends it, read from the wire.
type content interface {
	io.Reader
	// swallow reads and forgets what the client is going to send without waiting for a
	// reply, up to limit bytes. It says whether that was all.
	swallow(limit int64) (bool, error)
}

// dots reads what follows DATA: it takes away dot-stuffing and ends at CRLF.CRLF, the only
// end of data there is (RFC 5321 section 4.1.1.4, conformance I06). A bare CR or LF passes
// through as content; what follows it does not begin a line.
type dots struct {
	w *wire
	// afterCR says that the last byte was CR.
	afterCR bool
	// midLine says that the next byte does not begin a line.
	midLine bool
	ended   bool
}

func (d *dots) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !d.midLine && !d.ended {
		if err := d.beginLine(); err != nil {
			return 0, unexpected(err)
		}
	}
	if d.ended {
		return 0, io.EOF
	}
	if _, err := d.w.in.Peek(1); err != nil {
		return 0, unexpected(err)
	}
	available, _ := d.w.in.Peek(min(d.w.in.Buffered(), len(p)))
	n := copy(p, d.upToDot(available))
	d.w.measure(p[:n])
	d.note(p[:n])
	_, err := d.w.in.Discard(n)
	return n, err
}

// beginLine takes a dot off the beginning of a line and finds the end of data.
func (d *dots) beginLine() error {
	next, err := d.w.in.Peek(1)
	if err != nil || next[0] != '.' {
		return err
	}
	// No more is peeked at than must come: the client may have nothing to send after it.
	if next, err = d.w.in.Peek(2); err != nil {
		return err
	}
	if next[1] == '\r' {
		if next, err = d.w.in.Peek(3); err != nil {
			return err
		}
		if next[2] == '\n' {
			d.ended = true
			_, err = d.w.in.Discard(3)
			return err
		}
	}
	d.midLine = true
	_, err = d.w.in.Discard(1)
	return err
}

// upToDot cuts b before the first dot that begins a line.
func (d *dots) upToDot(b []byte) []byte {
	if d.afterCR && b[0] == '\n' {
		return b[:1]
	}
	if i := bytes.Index(b, []byte("\r\n.")); i >= 0 {
		return b[:i+2]
	}
	return b
}

// note remembers how b, which is not empty, ended.
func (d *dots) note(b []byte) {
	last := b[len(b)-1]
	before := d.afterCR
	if len(b) > 1 {
		before = b[len(b)-2] == '\r'
	}
	d.midLine = last != '\n' || !before
	d.afterCR = last == '\r'
}

func (d *dots) swallow(limit int64) (bool, error) {
	if d.ended {
		return true, nil
	}
	n, err := io.Copy(io.Discard, io.LimitReader(d, limit))
	if err != nil {
		return false, err
	}
	return n < limit || d.ended, nil
}
