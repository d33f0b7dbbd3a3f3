package relay

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestFold(t *testing.T) {
	t.Parallel()
	word := strings.Repeat("x", 500)
	long := strings.Repeat("y", 1200)
	for name, tt := range map[string]struct{ in, want string }{
		"short":              {"A: b c\r\n", "A: b c\r\n"},
		"just short enough":  {"A: " + strings.Repeat("x", maxLine-3) + "\r\n", "A: " + strings.Repeat("x", maxLine-3) + "\r\n"},
		"folded already":     {"A: " + word + "\r\n " + word + "\r\n", "A: " + word + "\r\n " + word + "\r\n"},
		"in two":             {"A: " + word + " " + word + "\r\n", "A: " + word + "\r\n " + word + "\r\n"},
		"in three":           {"A: " + word + "\t" + word + " " + word + "\r\n", "A: " + word + "\r\n\t" + word + "\r\n " + word + "\r\n"},
		"the second line":    {"A: b\r\n " + word + " " + word + "\r\n", "A: b\r\n " + word + "\r\n " + word + "\r\n"},
		"a long word":        {"A:" + long + "\r\n", "A:" + long + "\r\n"},
		"beside a long word": {"A:" + long + " b\r\n", "A:" + long + "\r\n b\r\n"},
		"white space behind": {"A:" + long + "   \r\n", "A:" + long + "   \r\n"},
		"white space before": {"A: b\r\n   " + long + "\r\n", "A: b\r\n   " + long + "\r\n"},
	} {
		got := string(fold([]byte(tt.in)))
		if got != tt.want {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, tt.want)
		}
		if strings.ReplaceAll(got, "\r\n", "") != strings.ReplaceAll(tt.in, "\r\n", "") {
			t.Errorf("%s: more than line ends has changed", name)
		}
	}
}

// FuzzFold: what is folded reads as before, has no line of white space alone that was not there, and
// is folded once and for all.
func FuzzFold(f *testing.F) {
	f.Add("A: b c", uint16(600))
	f.Add("\t x  y\t", uint16(2000))
	f.Fuzz(func(t *testing.T, text string, n uint16) {
		if strings.ContainsAny(text, "\r\n") {
			return
		}
		in := "A:" + strings.Repeat(text, int(n)%300) + "\r\n"
		got := string(fold([]byte(in)))
		if strings.ReplaceAll(got, "\r\n", "") != strings.TrimSuffix(in, "\r\n") {
			t.Errorf("%q became %q", in, got)
		}
		for i, line := range strings.Split(strings.TrimSuffix(got, "\r\n"), "\r\n") {
			if strings.Trim(line, " \t") == "" || i > 0 && line[0] != ' ' && line[0] != '\t' {
				t.Errorf("%q has the line %q", got, line)
			}
		}
		if again := string(fold([]byte(got))); again != got {
			t.Errorf("%q is folded again, to %q", got, again)
		}
	})
}

// A strict listener refuses long lines, whatever way they come in (RFC 5321 section 4.5.3.1.6).
func TestStrictLongLines(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   string
		want error
	}{
		"as long as may be": {"A: 1\r\n\r\n" + strings.Repeat("x", maxLine) + "\r\ny\r\n", nil},
		"a byte more":       {"A: 1\r\n\r\n" + strings.Repeat("x", maxLine+1) + "\r\ny\r\n", errLongLine},
		"in the header":     {"A: " + strings.Repeat("x", maxLine) + "\r\n\r\n", errLongLine},
		"at the end":        {"A: 1\r\n\r\n" + strings.Repeat("x", maxLine+2), errLongLine},
	} {
		for cut, r := range map[string]io.Reader{"whole": strings.NewReader(tt.in), "bytes": iotest.OneByteReader(strings.NewReader(tt.in))} {
			c := content{body: io.Discard, limit: 1 << 20, header: headerOf(1 << 12), lines: lineEnds{strict: true}}
			if err := c.copyFrom(r); !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: got %v, want %v", name, cut, err, tt.want)
			}
		}
	}
}
