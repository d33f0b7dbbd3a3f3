package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/emersion/go-msgauth/dkim"

	"postrider/relay"
)

// The bounds of what is read of a body.
const (
	bodyChunk = 64 << 10
	// maxBlank is the longest run of blank lines, in bytes: the library's time for one grows
	// with its square.
	maxBlank = 32 << 10
	// maxNames is the most fields that a signature may name: the library looks for each
	// among all.
	maxNames = 500
)

// signature is what became of one signature.
type signature struct {
	result string
	// domain, selector, algorithm and start (of the value) tell it from others.
	domain, selector, algorithm, start string
	reason                             string
	// names counts the fields that it says it has signed.
	names int
}

// errUnread says that a body was not read to its end.
var errUnread = errors.New("the body was not read to its end")

// checkDKIM verifies the top signatures, all in one pass over the body. Each has a goroutine
// of its own, which ends before this returns: a panic of the library's is a result too.
func (v *Verifier) checkDKIM(ctx context.Context, dns *lookups, m *relay.Message, body io.Reader) []signature {
	places := signaturePlaces(m.Header)
	places = places[:min(len(places), v.o.Signatures)]
	found := make([]signature, len(places))
	writers := make([]*io.PipeWriter, len(places))
	var running sync.WaitGroup
	for i, place := range places {
		r, w := io.Pipe()
		writers[i] = w
		found[i] = describe(string(m.Header[place.start:place.end]))
		running.Go(func() {
			defer r.CloseWithError(errUnread)
			header := onTop(m.Header, place)
			verifyOne(&found[i], io.MultiReader(bytes.NewReader(header), r), func(name string) ([]string, error) { return dns.LookupTXT(ctx, name) })
		})
	}
	var err error
	if len(places) > 0 {
		err = feed(ctx, body, writers)
	}
	for _, w := range writers {
		_ = w.Close() // as the end of the body: the library may not mind errors
	}
	running.Wait()
	if err != nil {
		for i := range found {
			found[i].result, found[i].reason = temperror, err.Error()
			if errors.Is(err, errBlank) {
				found[i].result = neutral
			}
		}
	}
	return found
}

// verifyOne verifies the top signature of a message.
func verifyOne(s *signature, r io.Reader, lookup func(string) ([]string, error)) {
	defer func() {
		if p := recover(); p != nil {
			s.result, s.reason = permerror, fmt.Sprintf("cannot be verified: %v", p)
		}
	}()
	if s.names > maxNames {
		s.result, s.reason = permerror, "too many signed fields"
		return
	}
	list, err := dkim.VerifyWithOptions(r, &dkim.VerifyOptions{LookupTXT: lookup, MaxVerifications: 1})
	if err != nil && !errors.Is(err, dkim.ErrTooManySignatures) || len(list) != 1 {
		s.result, s.reason = permerror, "malformed message"
		return
	}
	switch err := list[0].Err; {
	case err == nil:
		// What counts is the domain that was verified.
		s.result, s.domain = pass, strings.ToLower(list[0].Domain)
	case dkim.IsTempFail(err):
		s.result = temperror
	case dkim.IsPermFail(err):
		s.result, s.reason = permerror, strings.TrimPrefix(err.Error(), "dkim: ")
	default:
		s.result, s.reason = fail, strings.TrimPrefix(err.Error(), "dkim: ")
	}
}

var errBlank = fmt.Errorf("over %d bytes of blank lines in a row", maxBlank)

// feed copies the body to all that still read. It ends early with the context, and at blank
// lines that do not end.
func feed(ctx context.Context, body io.Reader, writers []*io.PipeWriter) error {
	buf := make([]byte, bodyChunk)
	blank := 0
	for {
		if ctx.Err() != nil {
			return errUnread
		}
		n, err := body.Read(buf)
		if longestBlank(buf[:n], &blank) > maxBlank {
			return errBlank
		}
		for _, w := range writers {
			_, _ = w.Write(buf[:n]) // who has its result does not read on
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// longestBlank is the longest run of white space and line ends so far that ends in p. Run is
// the one at the end of what came before, and then of p.
func longestBlank(p []byte, run *int) int {
	longest := 0
	for len(p) > 0 {
		text := len(p) - len(bytes.TrimLeft(p, "\r\n"))
		*run += text
		longest = max(longest, *run)
		p = p[text:]
		if len(p) == 0 {
			break
		}
		*run = 0
		next := bytes.Index(p, []byte("\r\n\r\n"))
		if next < 0 {
			p = p[len(bytes.TrimRight(p, "\r\n")):]
			continue
		}
		p = p[next:]
	}
	return longest
}

// place is where a field is in a header section.
type place struct{ start, end int }

// signaturePlaces finds the signatures, top first.
func signaturePlaces(header []byte) []place {
	var all []place
	for f := range fields(header) {
		if strings.EqualFold(f.name, "dkim-signature") {
			all = append(all, f.place)
		}
	}
	return all
}

// onTop moves a field to the top. All others, which it may have signed, stay in their order.
func onTop(header []byte, p place) []byte {
	moved := make([]byte, 0, len(header))
	moved = append(moved, header[p.start:p.end]...)
	moved = append(moved, header[:p.start]...)
	return append(moved, header[p.end:]...)
}

// describe reads from a signature's field what it is told from others by.
func describe(field string) signature {
	_, value, _ := strings.Cut(field, ":")
	tags := make(map[string]string)
	for part := range strings.SplitSeq(value, ";") {
		name, value, _ := strings.Cut(part, "=")
		tags[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), "")
	}
	b := tags["b"]
	return signature{
		domain: strings.ToLower(tags["d"]), selector: tags["s"], algorithm: tags["a"], start: b[:min(len(b), 8)],
		names: 1 + strings.Count(tags["h"], ":"),
	}
}
