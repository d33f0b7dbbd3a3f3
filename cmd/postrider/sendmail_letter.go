package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"slices"
	"strings"
	"time"

	"postrider/relay"
)

// letterMost bounds the header of a message that is submitted, in bytes; it is held in memory.
const letterMost = 256 << 10

// letter is the header of a message as a program writes it: line ends of any kind, and fields
// missing that others must have. Its body follows on the input.
type letter struct {
	// fields have their own line ends, folded lines among them.
	fields []string
	// rest is the line that was read behind the header and belongs to the body.
	rest string
}

// readLetter reads the header. What does not begin with a field has none, and is all body; the
// line "From ..." of mailboxes goes.
func readLetter(r *bufio.Reader) (*letter, error) {
	l := new(letter)
	for size := 0; ; {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if len(l.fields) > 0 {
				return nil, fmt.Errorf("a line of the header is longer than %d bytes", letterMost)
			}
			l.rest = string(line)
			return l, nil
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		if size += len(line); size > letterMost {
			return nil, fmt.Errorf("the header is larger than %d bytes", letterMost)
		}
		text := strings.TrimRight(string(line), "\r\n")
		switch {
		case text == "":
			return l, nil // the end of the header, or of all
		case len(l.fields) > 0 && (text[0] == ' ' || text[0] == '\t'):
			l.fields[len(l.fields)-1] += "\r\n" + text
		case len(l.fields) == 0 && strings.HasPrefix(text, "From "):
		case fieldName(text) == "":
			l.rest = string(line)
			return l, nil
		default:
			l.fields = append(l.fields, text)
		}
		if err == io.EOF {
			return l, nil
		}
	}
}

// fieldName is the name of a header field in lower case, "" for what is none (RFC 5322 section
// 3.6.8).
func fieldName(text string) string {
	name, _, found := strings.Cut(text, ":")
	name = strings.TrimRight(name, " \t")
	if !found || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return strings.ToLower(name)
}

// recipients adds those of the header, of the Resent- fields where there are any (RFC 5322
// section 3.6.6), and takes Bcc out.
func (l *letter) recipients(all []string) ([]string, error) {
	prefix := ""
	for _, f := range l.fields {
		switch fieldName(f) {
		case "resent-to", "resent-cc", "resent-bcc":
			prefix = "resent-"
		}
	}
	var kept []string
	for _, f := range l.fields {
		name := fieldName(f)
		if name != prefix+"to" && name != prefix+"cc" && name != prefix+"bcc" {
			kept = append(kept, f)
			continue
		}
		if name != prefix+"bcc" {
			kept = append(kept, f)
		}
		_, value, _ := strings.Cut(f, ":")
		value = strings.ReplaceAll(value, "\r\n", "")
		if strings.TrimSpace(value) == "" {
			continue
		}
		list, err := parseList(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, a := range list {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	l.fields = kept
	return all, nil
}

// parseList reads the addresses of a field; names without a domain, such as root, among them.
func parseList(value string) ([]string, error) {
	all, err := relay.Mailboxes(value)
	if err == nil {
		return all, nil
	}
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimSpace(part)
		if one, oneErr := relay.Mailboxes(part); oneErr == nil {
			all = append(all, one...)
		} else if part != "" && !strings.ContainsAny(part, " \t<>\"@:;()") {
			all = append(all, part)
		} else {
			return nil, err
		}
	}
	return all, nil
}

// complete adds the fields that a message must have, or should (RFC 5322 section 3.6).
func (l *letter) complete(sender, name, domain string, now time.Time) {
	has := make(map[string]bool)
	for _, f := range l.fields {
		has[fieldName(f)] = true
	}
	if !has["from"] {
		from := sender
		if from == "" {
			from = "MAILER-DAEMON@" + domain
		}
		field := "From: <" + from + ">"
		if name != "" {
			field = "From: " + (&mail.Address{Name: name, Address: from}).String()
		}
		l.fields = append(l.fields, field)
	}
	if !has["date"] {
		l.fields = append(l.fields, "Date: "+now.Format(time.RFC1123Z))
	}
	if !has["message-id"] {
		l.fields = append(l.fields, "Message-ID: <"+rand.Text()+"@"+domain+">")
	}
}

// String is the header as it is sent, and what of the body has been read.
func (l *letter) String() string {
	var b strings.Builder
	for _, f := range l.fields {
		b.WriteString(f + "\r\n")
	}
	return b.String() + "\r\n" + l.rest
}

// qualified is an address with a domain.
func qualified(text, domain string) (string, error) {
	text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "<"), ">")
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return "", errAddress
	}
	if !strings.Contains(text, "@") {
		text += "@" + domain
	}
	a, err := relay.ParseAddress(text)
	if err != nil {
		return "", err
	}
	return a.String(), nil
}

// newMessageInput reads a message up to the end of the input, or, unless dots are ignored, to a
// line of a single dot.
func newMessageInput(r io.Reader, ignoreDots bool) *bufio.Reader {
	if !ignoreDots {
		r = &dotted{lines: bufio.NewReader(r), atStart: true}
	}
	return bufio.NewReaderSize(r, letterMost)
}

// dotted ends at a line of a single dot.
type dotted struct {
	lines   *bufio.Reader
	atStart bool
	pending []byte
	ended   bool
}

func (d *dotted) Read(p []byte) (int, error) {
	if len(d.pending) == 0 {
		if d.ended {
			return 0, io.EOF
		}
		line, err := d.lines.ReadSlice('\n')
		whole := err == nil
		if errors.Is(err, bufio.ErrBufferFull) {
			err = nil
		}
		if err != nil && err != io.EOF {
			return 0, err
		}
		if d.atStart && string(bytes.TrimRight(line, "\r\n")) == "." {
			d.ended = true
			return 0, io.EOF
		}
		d.ended, d.atStart, d.pending = err == io.EOF, whole, bytes.Clone(line)
		if len(d.pending) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, d.pending)
	d.pending = d.pending[n:]
	return n, nil
}
