package relay

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// taken is what content makes of some input.
func taken(r io.Reader, limit int64) (header, body string, c *content, err error) {
	var b bytes.Buffer
	c = &content{body: &b, limit: limit, header: headerOf(1 << 10)}
	err = c.copyFrom(r)
	return string(c.header.buf), b.String(), c, err
}

func headerOf(limit int) header { return header{limit: limit} }

func TestContent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, header, body string }{
		"in order":               {"A: 1\r\nB: 2\r\n\r\nbody\r\n", "A: 1\r\nB: 2\r\n\r\n", "body\r\n"},
		"folded":                 {"A: 1\r\n 2\r\n\tb\r\n\r\nx\r\n", "A: 1\r\n 2\r\n\tb\r\n\r\n", "x\r\n"},
		"bare LF (I07)":          {"A: 1\nB: 2\n\nbody\nmore\n", "A: 1\r\nB: 2\r\n\r\n", "body\r\nmore\r\n"},
		"bare CR (I07)":          {"A: 1\r\n\r\none\rtwo\r\r\n", "A: 1\r\n\r\n", "one\r\ntwo\r\n\r\n"},
		"CR LF mixed":            {"A: 1\n\r\n\nx\r\r\ny\n\r", "A: 1\r\n\r\n", "\r\nx\r\n\r\ny\r\n\r\n"},
		"no body":                {"A: 1\r\n", "A: 1\r\n\r\n", ""},
		"no line end":            {"A: 1\r\n\r\nbody", "A: 1\r\n\r\n", "body\r\n"},
		"header, no line end":    {"A: 1", "A: 1\r\n\r\n", ""},
		"empty":                  {"", "\r\n", ""},
		"no header (I08)":        {"hello there\r\nworld\r\n", "\r\n", "hello there\r\nworld\r\n"},
		"begins empty (I08)":     {"\r\nhello\r\n", "\r\n", "hello\r\n"},
		"no blank line (I08)":    {"A: 1\r\nhello there\r\n\r\nx\r\n", "A: 1\r\n\r\n", "hello there\r\n\r\nx\r\n"},
		"mbox line (I08)":        {"From a@b Sat Nov 21\r\nA: 1\r\n\r\nx\r\n", "A: 1\r\n\r\n", "x\r\n"},
		"quoted mbox line (I08)": {">From a@b Sat\r\nA: 1\r\n\r\nx\r\n", "A: 1\r\n\r\n", "x\r\n"},
		"space before colon":     {"A : 1\r\n\r\nx\r\n", "A : 1\r\n\r\n", "x\r\n"},
		"leading continuation":   {" x: y\r\nA: 1\r\n", "\r\n", " x: y\r\nA: 1\r\n"},
		"dots":                   {"A: 1\r\n\r\n.\r\n..\r\n", "A: 1\r\n\r\n", ".\r\n..\r\n"},
	} {
		readers := map[string]io.Reader{
			"whole": strings.NewReader(tt.in), "bytes": iotest.OneByteReader(strings.NewReader(tt.in)),
			"with EOF": iotest.DataErrReader(strings.NewReader(tt.in)),
		}
		for cut, r := range readers {
			header, body, c, err := taken(r, 1<<20)
			if err != nil || header != tt.header || body != tt.body {
				t.Errorf("%s, %s: got %q %q, %v; want %q %q", name, cut, header, body, err, tt.header, tt.body)
			}
			if got, want := c.total(), int64(len(header)+len(body)); got != want {
				t.Errorf("%s, %s: total %d, want %d", name, cut, got, want)
			}
		}
	}
}

func TestContentRefuses(t *testing.T) {
	t.Parallel()
	failed := errors.New("connection lost")
	for name, tt := range map[string]struct {
		r    io.Reader
		want error
	}{
		"NUL (I07)":        {strings.NewReader("A: 1\r\n\r\na\x00b\r\n"), errNUL},
		"too large (I04)":  {strings.NewReader("A: 1\r\n\r\n" + strings.Repeat("x", 5000)), errTooLarge},
		"header too large": {strings.NewReader("A: 1\r\n" + strings.Repeat(" x\r\n", 300)), errHeaderTooLarge},
		"endless line":     {strings.NewReader(strings.Repeat("x", 2000)), errHeaderTooLarge},
		"read error":       {io.MultiReader(strings.NewReader("A: 1\r\n\r\nx"), iotest.ErrReader(failed)), failed},
	} {
		if _, _, _, err := taken(tt.r, 4000); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

// Body lines may be as long as they like (I12).
func TestContentLongLines(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2100, 10_000, 200_000} {
		line := strings.Repeat("x", n) + "\r\n"
		_, body, _, err := taken(strings.NewReader("A: 1\r\n\r\n"+line), 1<<20)
		if err != nil || body != line {
			t.Errorf("line of %d: got %d bytes, %v", n, len(body), err)
		}
	}
}

func TestHops(t *testing.T) {
	t.Parallel()
	in := "Received: a\r\n b\r\nreceived: c\r\nX-Received: d\r\nReceived : e\r\nReceivedx: f\r\n\r\nReceived: g\r\n"
	if _, _, c, err := taken(strings.NewReader(in), 1<<20); err != nil || c.header.hops != 3 {
		t.Errorf("got %d hops, %v; want 3", c.header.hops, err)
	}
}

// Whatever comes in, what is kept has CRLF line ends only, a header section that ends, and
// is the same however the input is cut.
func FuzzContent(f *testing.F) {
	f.Add([]byte("A: 1\r\n\r\nx\r\n"))
	f.Add([]byte("From x\nA: 1\n\r\r\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		header, body, _, err := taken(bytes.NewReader(in), 1<<20)
		header2, body2, _, err2 := taken(iotest.OneByteReader(bytes.NewReader(in)), 1<<20)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%q: %v at once, %v byte by byte", in, err, err2)
		}
		if err != nil {
			return
		}
		if header != header2 || body != body2 {
			t.Fatalf("%q: %q %q at once, %q %q byte by byte", in, header, body, header2, body2)
		}
		all := header + body
		if !strings.HasSuffix(all, "\r\n") || !strings.HasSuffix(header, "\r\n") {
			t.Errorf("%q: no line end in %q %q", in, header, body)
		}
		if strings.ContainsAny(strings.ReplaceAll(all, "\r\n", ""), "\r\n\x00") {
			t.Errorf("%q: stray line ends in %q", in, all)
		}
	})
}

func BenchmarkContent(b *testing.B) {
	message := []byte("From: a@example.com\r\nSubject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 14_500))
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		c := content{body: io.Discard, limit: 1 << 30, header: headerOf(1 << 16)}
		if err := c.copyFrom(bytes.NewReader(message)); err != nil {
			b.Fatal(err)
		}
	}
}
