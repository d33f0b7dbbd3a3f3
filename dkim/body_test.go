package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// plainly is the canonical form as RFC 6376 tells it, one rule after the other.
func plainly(text string, relaxed bool) string {
	if relaxed {
		text = regexp.MustCompile(`[ \t]+\r\n`).ReplaceAllString(text, "\r\n")
		text = regexp.MustCompile(`[ \t]+`).ReplaceAllString(text, " ")
		if text == " " {
			text = ""
		}
		if !strings.HasSuffix(text, "\r\n") {
			text = strings.TrimSuffix(text, " ")
		}
	}
	for strings.HasSuffix(text, "\r\n") {
		text = strings.TrimSuffix(text, "\r\n")
	}
	if text != "" || !relaxed {
		text += "\r\n"
	}
	return text
}

// cutHash writes the text in pieces that the numbers say and gives the hash.
func cutHash(text string, relaxed bool, pieces func() int) string {
	b := newBody(relaxed, sha256.New())
	for text != "" {
		n := min(len(text), 1+pieces())
		_, _ = b.Write([]byte(text[:n]))
		text = text[n:]
	}
	return base64.StdEncoding.EncodeToString(b.hash())
}

func checkBody(t *testing.T, text string, r *rand.Rand) {
	t.Helper()
	for _, relaxed := range []bool{true, false} {
		sum := sha256.Sum256([]byte(plainly(text, relaxed)))
		want := base64.StdEncoding.EncodeToString(sum[:])
		for _, most := range []int{1, 3, 20, 1 << 20} {
			if got := cutHash(text, relaxed, func() int { return r.IntN(most) }); got != want {
				t.Fatalf("relaxed %v, in pieces of up to %d bytes: %q is not taken as %q", relaxed, most, text, plainly(text, relaxed))
			}
		}
	}
}

// The hashes of empty bodies are those of RFC 6376 section 3.4.3 and 3.4.4, the text that of
// section 3.4.5.
func TestCanonicalBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text    string
		relaxed bool
		want    string
	}{
		{"", true, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
		{"", false, "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="},
		{"\r\n\r\n", true, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
		{"\r\n\r\n", false, "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="},
		{" C \r\nD \t E\r\n\r\n\r\n", true, sum(" C\r\nD E\r\n")},
		{" C \r\nD \t E\r\n\r\n\r\n", false, sum(" C \r\nD \t E\r\n")},
	} {
		if got := cutHash(test.text, test.relaxed, func() int { return 0 }); got != test.want {
			t.Errorf("%q, relaxed %v: got %s", test.text, test.relaxed, got)
		}
	}
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(s[:])
}

// Text of few kinds of characters meets every combination, at every place of a word of eight.
func TestCanonicalBodyOfChance(t *testing.T) {
	t.Parallel()
	const seed = 20261122
	r := rand.New(rand.NewPCG(seed, seed))
	pieces := []string{" ", "  ", "\t", "\r\n", "\r\n\r\n", "!", "a", "word", "\xa0\x89\x0d!", "\x21\x20\x21", "eightbyt", " \r\n", strings.Repeat("x", 70)}
	for range 1000 {
		var b strings.Builder
		for range r.IntN(30) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		checkBody(t, b.String(), r)
	}
	checkBody(t, strings.Repeat("A line of text that is longer than a word.\r\n", 1000)+strings.Repeat("\r\n", 1000), r)
}

func FuzzBody(f *testing.F) {
	f.Add(" a \t b\r\n\r\n", uint64(1))
	f.Add("a\rb\r\r\n \r", uint64(2))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		if strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\n") {
			return // lines end in CRLF
		}
		checkBody(t, text, rand.New(rand.NewPCG(seed, seed)))
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("From: a@b\r\nTo : x\r\n y\r\n\r\n"))
	f.Add([]byte("\r\n"))
	f.Fuzz(func(t *testing.T, section []byte) {
		h, err := parseHeader(section)
		if err != nil {
			return
		}
		var joined []byte
		for i := range h {
			joined = append(joined, h[i].raw...)
		}
		if !bytes.HasPrefix(section, joined) || len(bytes.Trim(section[len(joined):], "\r\n")) > 0 && section[len(joined)] != '\r' && section[len(joined)] != '\n' {
			t.Errorf("%q was split into %q", section, joined)
		}
	})
}
