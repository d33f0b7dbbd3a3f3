package outbound

import (
	"bytes"
	"io"
)

// dotWriter writes a message as DATA wants it: a dot is added to lines that begin with one,
// and the end is marked (RFC 5321 section 4.5.2). A line begins after CRLF and nowhere else.
type dotWriter struct {
	w io.Writer
	// tail is where the stream stands between writes.
	tail tail
	// n counts the bytes of the message, without what was added.
	n int64
	// err is the first error of w: that of the connection, not of who reads the message.
	err error
}

// tail is what the stream ends with.
type tail uint8

const (
	lineStart tail = iota
	midLine
	afterCR
)

var (
	crlfDot = []byte("\r\n.")
	dot     = []byte(".")
)

// Write implements io.Writer.
func (d *dotWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	d.n += int64(len(p))
	rest := d.begin(p)
	for {
		i := bytes.Index(rest, crlfDot)
		if i < 0 {
			break
		}
		d.put(rest[:i+2])
		d.put(dot)
		rest = rest[i+2:]
	}
	d.put(rest)
	d.tail = tailOf(p, d.tail)
	if d.err != nil {
		return 0, d.err
	}
	return len(p), nil
}

// begin adds the dot that the end of the previous write calls for and returns what is left to
// write.
func (d *dotWriter) begin(p []byte) []byte {
	switch {
	case d.tail == lineStart && p[0] == '.':
		d.put(dot)
	case d.tail == afterCR && len(p) > 1 && p[0] == '\n' && p[1] == '.':
		d.put(p[:1])
		d.put(dot)
		return p[1:]
	}
	return p
}

func tailOf(p []byte, before tail) tail {
	n := len(p)
	switch {
	case p[n-1] == '\r':
		return afterCR
	case p[n-1] == '\n' && (n > 1 && p[n-2] == '\r' || n == 1 && before == afterCR):
		return lineStart
	}
	return midLine
}

// end writes the end of the message, on a line of its own.
func (d *dotWriter) end() error {
	if d.tail != lineStart {
		d.put([]byte("\r\n"))
	}
	d.put([]byte(".\r\n"))
	return d.err
}

func (d *dotWriter) written() (int64, error) { return d.n, d.err }

func (d *dotWriter) put(p []byte) {
	if d.err == nil && len(p) > 0 {
		_, d.err = d.w.Write(p)
	}
}
