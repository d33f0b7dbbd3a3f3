package dkim

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// chunk is how much of a message is in memory at once, in bytes.
const chunk = 32 << 10

// maxBlank bounds a run of blank lines, in bytes. The canonicalisation has to hold back
// such a run until it knows whether it ends the body.
const maxBlank = 1 << 20

// ErrBlank is why a message is not signed: its body has an endless run of blank lines.
var ErrBlank = fmt.Errorf("over %d bytes of blank lines in a row", maxBlank)

// Options says what a Signer signs with.
type Options struct {
	// Keys in any order. A domain may have several: a message is signed with all of them.
	Keys []Key
}

// Signer signs messages. It never changes and is safe for use by several goroutines.
type Signer struct {
	keys map[string][]key
}

// Message is a message to be signed.
type Message struct {
	// Header is the header section with the empty line that ends it, Body what follows, lines
	// ended by CRLF.
	Header []byte
	Body   io.Reader
	// Sender is the domain of the reverse-path and User who has authenticated; "" for none.
	Sender, User string
	// With are names of keys, where a rule has chosen: a domain for all its keys, or
	// SELECTOR._domainkey.DOMAIN. "none" is for no signature.
	With []string
}

// New loads the keys. The error joins a KeyError for every fault.
func New(o Options) (*Signer, error) {
	s := &Signer{keys: make(map[string][]key)}
	var faults []error
	for i, k := range o.Keys {
		loaded, err := load(k, i)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, other := range s.keys[loaded.domain] {
			if other.selector == loaded.selector {
				err := fmt.Errorf("%s has the selector %q twice", loaded.domain, loaded.selector)
				faults = append(faults, &KeyError{Index: i, Field: "selector", Err: err})
			}
		}
		s.keys[loaded.domain] = append(s.keys[loaded.domain], loaded)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return s, nil
}

// Sign returns a DKIM-Signature field for each key of the author's domain, or of the
// nearest domain above it that has one. It reads the message once. No fields and no
// error mean that there is no key; an error says why a message is not signed.
func (s *Signer) Sign(ctx context.Context, m Message) ([]byte, error) {
	if len(s.keys) == 0 {
		return nil, nil
	}
	r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(m.Header), m.Body), chunk)
	h, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	keys, err := s.choose(h)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	names, err := h.signedNames()
	if err != nil {
		return nil, err
	}
	return sign(keys, names, func(w io.Writer) error {
		if _, err := w.Write(h.raw); err != nil {
			return err
		}
		return copyBody(ctx, w, r)
	})
}

// choose finds the keys for a message. Authors of several domains (RFC 5322 section
// 3.6.2) leave no one domain that the signature could speak for.
func (s *Signer) choose(h *header) ([]key, error) {
	domains, err := h.authors()
	if err != nil {
		return nil, err
	}
	for _, domain := range domains {
		keys := s.find(domain)
		if len(keys) > 0 && len(domains) > 1 {
			return nil, fmt.Errorf("%w: From names several domains: %s", ErrHeader, strings.Join(domains, ", "))
		}
		if len(keys) > 0 {
			return keys, nil
		}
	}
	return nil, nil
}

func (s *Signer) find(domain string) []key {
	for below := true; below; _, domain, below = strings.Cut(domain, ".") {
		if keys := s.keys[domain]; len(keys) > 0 {
			return keys
		}
	}
	return nil
}

// sign feeds one pass over the message to a signer for each key.
func sign(keys []key, names []string, feed func(io.Writer) error) ([]byte, error) {
	signers := make([]*dkim.Signer, 0, len(keys))
	writers := make([]io.Writer, 0, len(keys))
	// A signer is a goroutine, which Close ends; a second Close does nothing.
	defer func() {
		for _, s := range signers {
			_ = s.Close()
		}
	}()
	for _, k := range keys {
		s, err := dkim.NewSigner(&dkim.SignOptions{
			Domain: k.domain, Selector: k.selector, Signer: k.private, HeaderKeys: names,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed,
			BodyCanonicalization:   dkim.CanonicalizationRelaxed,
		})
		if err != nil {
			return nil, fmt.Errorf("sign for %s with %s: %w", k.domain, k.selector, err)
		}
		signers, writers = append(signers, s), append(writers, s)
	}
	if err := feed(io.MultiWriter(writers...)); err != nil {
		return nil, fmt.Errorf("read the message to sign: %w", err)
	}
	var fields bytes.Buffer
	for i, s := range signers {
		if err := s.Close(); err != nil {
			return nil, fmt.Errorf("sign for %s with %s: %w", keys[i].domain, keys[i].selector, err)
		}
		fields.WriteString(s.Signature())
	}
	return fields.Bytes(), nil
}

// copyBody passes on what is left of a message, and stops at a run of blank lines that
// would not end. The run is counted by whole buffers: exact enough for a bound.
func copyBody(ctx context.Context, w io.Writer, r *bufio.Reader) error {
	for blank := 0; ; {
		if _, err := r.Peek(1); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		part, _ := r.Peek(r.Buffered())
		if len(bytes.TrimLeft(part, " \t\r\n")) > 0 {
			blank = 0
		} else if blank += len(part); blank > maxBlank {
			return ErrBlank
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		_, _ = r.Discard(len(part))
	}
}
