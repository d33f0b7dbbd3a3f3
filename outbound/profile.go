package outbound

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"postrider/relay"
)

// HeaderProfile says what a route adds to the header section of messages and removes from it, at
// the attempt: what is queued stays as it is. What a signature covers is never touched, so that
// what is sent verifies.
type HeaderProfile struct {
	// Add are fields as "Name: value", several of a name if need be. A message that has the field
	// after the removals keeps its own.
	Add []string
	// Remove are names of fields; one that ends in * stands for all that begin so.
	Remove []string
}

// maxProfileField bounds a field that is added, in bytes: it is one line (RFC 5322 section 2.1.1).
const maxProfileField = 998

// Validate says what is wrong with the profile, everything at once.
func (p *HeaderProfile) Validate() error {
	var faults []error
	for _, text := range p.Add {
		name, value, ok := strings.Cut(text, ":")
		value = strings.TrimSpace(value)
		switch {
		case !ok || !isFieldName(name) || value == "" || !isPrintable(value) || len(text) > maxProfileField:
			faults = append(faults, fmt.Errorf("%q is not a field as in \"X-Name: value\"", text))
		case isStructural(name) || strings.EqualFold(name, "Return-Path"):
			faults = append(faults, fmt.Errorf("%s cannot be added: it is the message's own", name))
		}
	}
	for _, text := range p.Remove {
		name := strings.TrimSuffix(text, "*")
		switch {
		case !isFieldName(name):
			faults = append(faults, fmt.Errorf("%q is not the name of a field, as X-Name or X-Internal-*", text))
		case isStructural(name) || name != text && slices.ContainsFunc(structuralFields(), func(s string) bool { return isPrefix(s, name) }):
			faults = append(faults, fmt.Errorf("%s cannot be removed: it is the message's own", text))
		}
	}
	return errors.Join(faults...)
}

// structuralFields are those that make a message what it is, and that signatures and loop
// detection live by; of a name that ends in a hyphen, all that begin so.
func structuralFields() []string {
	return []string{
		"from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references",
		"mime-version", "received", "dkim-signature", "content-", "resent-", "arc-",
	}
}

func isStructural(name string) bool {
	return slices.ContainsFunc(structuralFields(), func(s string) bool {
		return strings.EqualFold(s, name) || strings.HasSuffix(s, "-") && isPrefix(name, s)
	})
}

func isPrefix(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// isFieldName accepts the name of a field (RFC 5322 section 2.2).
func isFieldName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || c == ':' || c == '*' })
}

func isPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' })
}

// apply gives the message as the route sends it: itself where the profile has nothing to say.
func (p *HeaderProfile) apply(m *relay.Message) *relay.Message {
	if len(p.Add)+len(p.Remove) == 0 {
		return m
	}
	fields := fieldsOf(m.Header)
	sealed := sealedNames(fields)
	present := make(map[string]bool)
	header := make([]byte, 0, len(m.Header)+256)
	for _, f := range fields {
		name := f.name()
		if p.removes(name) && !sealed[name] {
			continue
		}
		present[name] = true
		header = append(header, f...)
	}
	var added []byte
	for _, text := range p.Add {
		if len(header) > 0 && (header[0] == ' ' || header[0] == '\t') {
			break // it would become a part of what is added
		}
		name, value, _ := strings.Cut(text, ":")
		if key := strings.ToLower(name); !present[key] && !sealed[key] {
			added = fmt.Appendf(added, "%s: %s\r\n", name, strings.TrimSpace(value))
		}
	}
	sent := *m
	sent.Header = append(added, header...)
	sent.Size += int64(len(sent.Header) - len(m.Header))
	return &sent
}

// mark tells profiles apart.
func (p *HeaderProfile) mark() string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q", p.Add, p.Remove)
	return fmt.Sprintf("%x", h.Sum64())
}

func (p *HeaderProfile) removes(name string) bool {
	return slices.ContainsFunc(p.Remove, func(text string) bool {
		prefix, all := strings.CutSuffix(text, "*")
		return strings.EqualFold(text, name) || all && isPrefix(name, prefix)
	})
}

// field is one field of a header section with its line ends, or the empty line that ends it.
type field []byte

// fieldsOf splits a header section.
func fieldsOf(header []byte) []field {
	var all []field
	for len(header) > 0 {
		end := 0
		for {
			n := bytes.IndexByte(header[end:], '\n')
			if n < 0 {
				end = len(header)
				break
			}
			end += n + 1
			if end == len(header) || header[end] != ' ' && header[end] != '\t' {
				break
			}
		}
		all = append(all, header[:end])
		header = header[end:]
	}
	return all
}

// name is in lower case, "" for the empty line.
func (f field) name() string {
	name, _, found := bytes.Cut(f, []byte{':'})
	if !found {
		return ""
	}
	return string(bytes.ToLower(bytes.TrimRight(name, " \t")))
}

// sealedNames are the fields that signatures cover (RFC 6376 section 3.5, RFC 8617 section
// 4.1.2): those that are there, and those whose absence is signed.
func sealedNames(fields []field) map[string]bool {
	sealed := make(map[string]bool)
	for _, f := range fields {
		if name := f.name(); name != "dkim-signature" && name != "arc-message-signature" {
			continue
		}
		_, value, _ := strings.Cut(string(f), ":")
		for tag := range strings.SplitSeq(value, ";") {
			key, list, _ := strings.Cut(tag, "=")
			if strings.TrimSpace(key) != "h" {
				continue
			}
			for name := range strings.SplitSeq(list, ":") {
				sealed[strings.ToLower(strings.TrimSpace(name))] = true
			}
		}
	}
	return sealed
}
