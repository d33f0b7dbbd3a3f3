package dkim

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// width is where lines of a signature are folded, in bytes.
const width = 76

// signature makes the field of one key for a header and the hash of a body.
func (k *key) signature(h header, bodyHash []byte, now time.Time) ([]byte, error) {
	names, err := h.signedNames(k.fields)
	if err != nil {
		return nil, err
	}
	f := folder{text: make([]byte, 0, 1024)}
	f.text = append(f.text, "DKIM-Signature:"...)
	f.column = len(f.text)
	f.tag("v=1;")
	f.tag("a=" + k.algorithm() + ";")
	f.tag("c=" + k.canonicalization() + ";")
	f.tag("d=" + k.domain + ";")
	f.tag("s=" + k.selector + ";")
	if k.identity != "" {
		f.tag("i=" + k.identity + ";")
	}
	f.tag(fmt.Sprintf("t=%d;", now.Unix()))
	if k.expires > 0 {
		f.tag(fmt.Sprintf("x=%d;", now.Add(k.expires).Unix()))
	}
	f.list("h=", names)
	f.tag("bh=" + base64.StdEncoding.EncodeToString(bodyHash) + ";")
	f.tag("b=")
	signature, err := k.seal(h.appendNamed(make([]byte, 0, 2048), names, !k.simpleHeader), f.text)
	if err != nil {
		return nil, fmt.Errorf("sign for %s with %s: %w", k.domain, k.selector, err)
	}
	f.value(base64.StdEncoding.EncodeToString(signature))
	return append(f.text, "\r\n"...), nil
}

// seal signs the canonical fields and, behind them, the signature's own field without its
// value and line end (RFC 6376 section 3.7).
func (k *key) seal(fields, own []byte) ([]byte, error) {
	if k.simpleHeader {
		fields = append(fields, own...)
	} else {
		const name = "dkim-signature"
		fields = appendRelaxed(fields, name, own[len(name)+1:])
	}
	sum := sha256.Sum256(fields)
	hash := crypto.SHA256
	if k.kind() == KindEd25519 {
		hash = 0 // the hash itself is the message (RFC 8463 section 3)
	}
	return k.private.Sign(rand.Reader, sum[:], hash)
}

func (k *key) algorithm() string { return string(k.kind()) + "-sha256" }

func (k *key) canonicalization() string {
	words := map[bool]string{false: "relaxed", true: "simple"}
	return words[k.simpleHeader] + "/" + words[k.simpleBody]
}

// folder writes the text of a field in lines that are not long.
type folder struct {
	text   []byte
	column int
}

// break begins a new line.
func (f *folder) fold() {
	f.text = append(f.text, "\r\n\t"...)
	f.column = 8
}

// tag writes a word, on a new line where it does not fit into this one.
func (f *folder) tag(word string) {
	if f.column+1+len(word) > width {
		f.fold()
	} else {
		f.text = append(f.text, ' ')
		f.column++
	}
	f.text = append(f.text, word...)
	f.column += len(word)
}

// list writes a tag whose value is names between colons, which may be folded.
func (f *folder) list(tag string, names []string) {
	f.fold()
	f.text = append(f.text, tag...)
	f.column += len(tag)
	for i, name := range names {
		end := ":"
		if i == len(names)-1 {
			end = ";"
		}
		if f.column+len(name)+1 > width {
			f.fold()
		}
		f.text = append(append(f.text, name...), end...)
		f.column += len(name) + 1
	}
}

// value writes base64, which may be folded anywhere.
func (f *folder) value(text string) {
	for text != "" {
		n := min(len(text), max(width-f.column, 0))
		f.text = append(f.text, text[:n]...)
		if text = text[n:]; text != "" {
			f.fold()
		}
	}
}

// isNone says whether a rule wants no signature.
func isNone(with []string) bool {
	return len(with) == 1 && strings.EqualFold(with[0], "none")
}
