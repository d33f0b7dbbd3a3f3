package dkim

import (
	"encoding/binary"
	"hash"
)

// bodyBuffer is how much of what is hashed is collected first, in bytes.
const bodyBuffer = 4 << 10

// body hashes a message's body in a canonical form (RFC 6376 section 3.4.3 and 3.4.4) as it
// is written, however it is cut. Its memory does not depend on the body. Most text is in
// canonical form already and goes to the hash as it is.
type body struct {
	relaxed bool
	sum     hash.Hash
	out     []byte
	// ends counts the line ends that wait for what follows: those at the end of the body are
	// one, or none.
	ends int
	// space says that white space waits for what follows: at the end of a line it is dropped.
	space bool
	// cr says that a CR waits for its LF.
	cr bool
	// wrote says that there is more than line ends and white space.
	wrote bool
}

func newBody(relaxed bool, sum hash.Hash) *body {
	return &body{relaxed: relaxed, sum: sum, out: make([]byte, 0, bodyBuffer)}
}

// Write takes the next bytes in. It never fails.
func (b *body) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := 0
		if !b.cr && !b.space {
			n = b.regular(rest)
		}
		if n == 0 {
			rest = b.step(rest)
			continue
		}
		b.text(rest[:n])
		rest = rest[n:]
	}
	return len(p), nil
}

// regular is the length of the beginning of p that is canonical but for line ends at its end.
func (b *body) regular(p []byte) int {
	if p[len(p)-1] == '\r' {
		p = p[:len(p)-1]
	}
	if !b.relaxed {
		return len(p)
	}
	return regular(p)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// hasZero is not 0 if a byte of x is 0. The lowest bit that is set is of that byte.
func hasZero(x uint64) uint64 { return (x - ones) &^ x & highs }

// regular is the length of the beginning of p without a tab, and without a space before
// another, before a CR or at the end. Eight bytes are looked at in one go.
func regular(p []byte) int {
	i := 0
	for ; i+9 <= len(p); i += 8 {
		x, next := binary.LittleEndian.Uint64(p[i:]), binary.LittleEndian.Uint64(p[i+1:])
		odd := hasZero(x^ones*'\t') | hasZero(x^ones*' ')&(hasZero(next^ones*' ')|hasZero(next^ones*'\t')|hasZero(next^ones*'\r'))
		if odd == 0 {
			continue
		}
		// What hasZero says of the bytes above the lowest 0 may be wrong.
		if n := irregular(p[i : i+9]); n < 8 {
			return i + n
		}
	}
	return i + irregular(p[i:])
}

// irregular is where p is not regular, its length if it is throughout.
func irregular(p []byte) int {
	for i, c := range p {
		if c == '\t' || c == ' ' && (i+1 == len(p) || p[i+1] == ' ' || p[i+1] == '\t' || p[i+1] == '\r') {
			return i
		}
	}
	return len(p)
}

// step takes in what is not regular, or what it is that something waits for.
func (b *body) step(p []byte) []byte {
	switch {
	case b.cr && p[0] == '\n':
		b.cr, b.space = false, false
		b.ends++
		return p[1:]
	case b.cr: // by itself it is a character like others
		b.cr = false
		b.flush()
		b.append("\r")
		return p
	case p[0] == '\r':
		b.cr = true
		return p[1:]
	case b.relaxed && isSpace(p[0]):
		b.space = true
		for len(p) > 0 && isSpace(p[0]) {
			p = p[1:]
		}
		return p
	}
	b.flush()
	return p
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// text takes in what is regular.
func (b *body) text(p []byte) {
	ends := 0
	for len(p) >= 2 && p[len(p)-1] == '\n' && p[len(p)-2] == '\r' {
		p = p[:len(p)-2]
		ends++
	}
	if len(p) > 0 {
		b.flush()
		if len(p) > cap(b.out)-len(b.out) {
			b.drain()
		}
		if len(p) > cap(b.out) {
			_, _ = b.sum.Write(p) // a hash never fails
		} else {
			b.out = append(b.out, p...)
		}
	}
	b.ends += ends
}

// flush writes what has waited, as more of the body follows.
func (b *body) flush() {
	b.wrote = true
	for ; b.ends > 0; b.ends-- {
		b.append("\r\n")
	}
	if b.space {
		b.space = false
		b.append(" ")
	}
}

func (b *body) append(text string) {
	if len(text) > cap(b.out)-len(b.out) {
		b.drain()
	}
	b.out = append(b.out, text...)
}

func (b *body) drain() {
	_, _ = b.sum.Write(b.out)
	b.out = b.out[:0]
}

// hash ends the body and gives its hash. The last line has an end even where the body
// has none, and an empty body is a line end or, relaxed, nothing.
func (b *body) hash() []byte {
	if b.cr {
		b.cr = false
		b.flush()
		b.append("\r")
	}
	if b.wrote || !b.relaxed {
		b.append("\r\n")
	}
	b.drain()
	return b.sum.Sum(nil)
}
