package relay

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

var (
	errNUL         = errors.New("message contains a NUL byte")
	errTooLarge    = errors.New("message over the size limit")
	errBareLineEnd = errors.New("message contains a CR or LF by itself")
	errLongLine    = errors.New("message contains a line over 998 bytes")
)

// contentBufferSize is how much of a client's content is looked at in one go.
const contentBufferSize = 64 << 10

var contentBuffers = sync.Pool{New: func() any { return new([contentBufferSize]byte) }}

// content takes in a message as the client sends it: it normalises line ends, keeps the
// header section apart from the body, and holds the limits. The body goes to the draft as
// it comes, so memory does not depend on the size.
type content struct {
	header header
	body   io.Writer
	// limit bounds size, which counts what came in, after normalisation.
	limit, size int64
	// written counts what went to the body.
	written int64
	lines   lineEnds
	// ended says that the last byte is the end of a line.
	ended bool
}

// copyFrom reads to the end of r. An error of r comes back as it is.
func (c *content) copyFrom(r io.Reader) error {
	buf := contentBuffers.Get().(*[contentBufferSize]byte)
	defer contentBuffers.Put(buf)
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			if err := c.take(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return c.end()
		}
		if err != nil {
			return err
		}
	}
}

func (c *content) take(p []byte) error {
	p, err := c.lines.normalise(p)
	if err != nil {
		return err
	}
	return c.add(p)
}

// add sorts normalised bytes to the header or the body.
func (c *content) add(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	c.ended = p[len(p)-1] == '\n'
	c.size += int64(len(p))
	if c.size > c.limit {
		return errTooLarge
	}
	p, err := c.header.take(p)
	if err != nil || len(p) == 0 {
		return err
	}
	n, err := c.body.Write(p)
	c.written += int64(n)
	return err
}

// end completes the last line, so that what is signed is what DATA can carry.
func (c *content) end() error {
	rest, err := c.lines.rest()
	if err != nil {
		return err
	}
	if err := c.add(rest); err != nil {
		return err
	}
	if c.size > 0 && !c.ended {
		if err := c.add([]byte("\r\n")); err != nil {
			return err
		}
	}
	c.header.end()
	return nil
}

// total is the length of header and body as they are kept, in bytes.
func (c *content) total() int64 { return int64(len(c.header.buf)) + c.written }

// lineEnds turns bare LF and bare CR into CRLF, whatever way the content is cut into reads
// (conformance I07).
type lineEnds struct {
	// strict makes them an error, and lines that are too long.
	strict bool
	// length is that of the line that is being read, the CR of its end included.
	length int
	// cr is a CR that ended the last read and waits for what follows.
	cr  bool
	buf []byte
}

// normalise returns p with every line ended by CRLF. The result is valid until the next
// call. Content that is in order already is not copied.
func (l *lineEnds) normalise(p []byte) ([]byte, error) {
	if bytes.IndexByte(p, 0) >= 0 {
		return nil, errNUL
	}
	if l.strict && l.long(p) {
		return nil, errLongLine
	}
	if !l.cr && p[len(p)-1] != '\r' && inOrder(p) {
		return p, nil
	}
	if l.strict && l.bare(p) {
		return nil, errBareLineEnd
	}
	l.buf = l.buf[:0]
	if l.cr {
		l.cr = false
		l.buf = append(l.buf, "\r\n"...)
		if p[0] == '\n' {
			p = p[1:]
		}
	}
	for len(p) > 0 {
		n := bytes.IndexAny(p, "\r\n")
		if n < 0 {
			l.buf = append(l.buf, p...)
			break
		}
		l.buf = append(l.buf, p[:n]...)
		if p[n] == '\r' && n+1 == len(p) {
			l.cr = true
			break
		}
		if p[n] == '\r' && p[n+1] == '\n' {
			n++
		}
		l.buf = append(l.buf, "\r\n"...)
		p = p[n+1:]
	}
	return l.buf, nil
}

// bare says that p, behind what came before it, has a CR or LF by itself.
func (l *lineEnds) bare(p []byte) bool {
	if l.cr {
		if p[0] != '\n' {
			return true
		}
		p = p[1:]
	}
	return !inOrder(bytes.TrimSuffix(p, []byte{'\r'}))
}

// long says that p has, or goes on to, a line that is too long.
func (l *lineEnds) long(p []byte) bool {
	for line := range bytes.Lines(p) {
		ended := line[len(line)-1] == '\n'
		l.length += len(bytes.TrimSuffix(line, []byte{'\n'}))
		if l.length > maxLine+len("\r") {
			return true
		}
		if ended {
			l.length = 0
		}
	}
	return false
}

// rest is what waits at the end of the content.
func (l *lineEnds) rest() ([]byte, error) {
	if !l.cr {
		return nil, nil
	}
	if l.strict {
		return nil, errBareLineEnd
	}
	l.cr = false
	return []byte("\r\n"), nil
}

// inOrder says that every LF follows a CR and every CR is followed by a LF: as many of the
// one as of the other, and each LF behind a CR. p does not end in CR.
func inOrder(p []byte) bool {
	lines := 0
	for rest := p; ; {
		n := bytes.IndexByte(rest, '\n')
		if n < 0 {
			break
		}
		if n == 0 || rest[n-1] != '\r' {
			return false
		}
		lines++
		rest = rest[n+1:]
	}
	return bytes.Count(p, []byte{'\r'}) == lines
}
