package dkim

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// chunk is how much of a body is read in one go, in bytes.
const chunk = 64 << 10

// rest is how long the keys' files are not looked at again.
const rest = time.Second

// Options says what a Signer signs with.
type Options struct {
	// Keys in any order. A domain may have several: a message is signed with all of them.
	Keys []Key
	// Fault is told what is wrong with keys whose files have changed; nil for nobody.
	Fault func(error)
	// Now is the clock, time.Now by default.
	Now func() time.Time
}

// Signer signs messages. It is safe for use by several goroutines. Keys are read again when
// their files change, all or none: where one cannot be read, those from before are kept.
type Signer struct {
	options Options
	keys    atomic.Pointer[keyset]
	chunks  sync.Pool

	mu     sync.Mutex
	looked time.Time
	stamps []stamp
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
	// SELECTOR._domainkey.DOMAIN for one. "none" is for no signature.
	With []string
}

// New loads the keys. The error joins a KeyError for every fault.
func New(o Options) (*Signer, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Fault == nil {
		o.Fault = func(error) {}
	}
	s := &Signer{options: o, chunks: sync.Pool{New: func() any { return new([chunk]byte) }}}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the keys, whatever is known of their files. Broken ones leave all as it was.
func (s *Signer) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked = s.options.Now()
	return s.reload(s.options.stamps())
}

func (s *Signer) reload(stamps []stamp) error {
	s.stamps = stamps
	keys, err := load(&s.options)
	if err != nil {
		return err
	}
	s.keys.Store(keys)
	return nil
}

// refresh reads the keys again if their files have changed. Who finds another at it goes on
// with the keys there are.
func (s *Signer) refresh() {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	now := s.options.Now()
	if now.Sub(s.looked) < rest {
		return
	}
	s.looked = now
	stamps := s.options.stamps()
	if slices.Equal(stamps, s.stamps) {
		return
	}
	if err := s.reload(stamps); err != nil {
		s.options.Fault(fmt.Errorf("the keys from before are kept: %w", err))
	}
}

// Has says whether a rule may name keys so, whether or not they sign yet or still: see Message.With.
func (s *Signer) Has(name string) bool {
	if isNone([]string{name}) {
		return true
	}
	return slices.ContainsFunc(s.keys.Load().all, func(k *key) bool {
		return strings.EqualFold(name, k.domain) || strings.EqualFold(name, k.name())
	})
}

// Keys gives the keys that Sign would use for a message, or why it would not sign. The body is
// not looked at.
func (s *Signer) Keys(m Message) ([]Entry, error) {
	h, err := parseHeader(m.Header)
	if err != nil {
		return nil, err
	}
	keys, err := s.keys.Load().choose(&m, h)
	if err != nil {
		return nil, err
	}
	all := make([]Entry, 0, len(keys))
	for _, k := range keys {
		all = append(all, newEntry(k))
	}
	return all, nil
}

// Sign returns a DKIM-Signature field for each key that is for the message, those of its
// author's domain as a rule, each ended by CRLF. No fields and no error mean that there is
// no key; an error says why a message is not signed. The body is read once, and only if
// there is a key.
func (s *Signer) Sign(ctx context.Context, m Message) ([]byte, error) {
	s.refresh()
	set := s.keys.Load()
	if len(set.all) == 0 && len(m.With) == 0 {
		return nil, nil
	}
	h, err := parseHeader(m.Header)
	if err != nil {
		return nil, err
	}
	keys, err := set.choose(&m, h)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	relaxed, simple, err := s.hash(ctx, m.Body, keys)
	if err != nil {
		return nil, err
	}
	var fields []byte
	now := s.options.Now()
	for _, k := range keys {
		hash := relaxed
		if k.simpleBody {
			hash = simple
		}
		field, err := k.signature(h, hash, now)
		if err != nil {
			return nil, err
		}
		fields = append(fields, field...)
	}
	return fields, nil
}

// hash reads the body once for all keys and hashes it in the forms that they want: all
// algorithms are over SHA-256.
func (s *Signer) hash(ctx context.Context, r io.Reader, keys []*key) (relaxed, simple []byte, err error) {
	var forms []*body
	for _, isRelaxed := range []bool{true, false} {
		if slices.ContainsFunc(keys, func(k *key) bool { return k.simpleBody != isRelaxed }) {
			forms = append(forms, newBody(isRelaxed, sha256.New()))
		}
	}
	if err := s.feed(ctx, r, forms); err != nil {
		return nil, nil, fmt.Errorf("read the message to sign: %w", err)
	}
	for _, form := range forms {
		if form.relaxed {
			relaxed = form.hash()
		} else {
			simple = form.hash()
		}
	}
	return relaxed, simple, nil
}

func (s *Signer) feed(ctx context.Context, r io.Reader, forms []*body) error {
	buf := s.chunks.Get().(*[chunk]byte)
	defer s.chunks.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf[:])
		for _, form := range forms {
			_, _ = form.Write(buf[:n]) // never fails
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
