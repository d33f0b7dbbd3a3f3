package inbound

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readDots reads a message with buffers of the given sizes and returns it with what
// is left behind it.
func readDots(text string, buffer, step int) (message, rest string, err error) {
	w := &wire{in: bufio.NewReaderSize(strings.NewReader(text), buffer)}
	d := &dots{w: w}
	var b bytes.Buffer
	p := make([]byte, step)
	for err == nil {
		var n int
		n, err = d.Read(p)
		b.Write(p[:n])
	}
	left, _ := io.ReadAll(w.in)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b.String(), string(left), err
}

func TestDots(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, message, rest string }{
		{"empty", ".\r\n", "", ""},
		{"plain", "one\r\ntwo\r\n.\r\nQUIT\r\n", "one\r\ntwo\r\n", "QUIT\r\n"},
		{"stuffed", "..\r\n...\r\n.x\r\n.\r\n", ".\r\n..\r\nx\r\n", ""},
		{"dot inside a line", "a.\r\n.\r\n", "a.\r\n", ""},
		{"bare LF", "a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", ""},
		{"bare CR", "a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", ""},
		{"LF.CRLF", "a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", ""},
		{"CRLF.LF", "a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", ""},
		{"CRLF.CR", "a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", ""},
		{"CRLF.CRCRLF", "a\r\n.\r\r\nb\r\n.\r\n", "a\r\n\r\r\nb\r\n", ""},
		{"CRCRLF.CRLF", "a\r\r\n.\r\n", "a\r\r\n", ""},
		{"first line", ".\nb\r\n.\r\n", "\nb\r\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for step := 1; step <= 20; step++ {
				for buffer := 16; buffer <= 24; buffer++ {
					message, rest, err := readDots(test.text, buffer, step)
					if message != test.message || rest != test.rest || err != nil {
						t.Fatalf("in steps of %d: got %q, rest %q, %v; want %q, rest %q", step, message, rest, err, test.message, test.rest)
					}
				}
			}
		})
	}
}

// TestDotsCutOff never takes the end of the connection for the end of the message.
func TestDotsCutOff(t *testing.T) {
	t.Parallel()
	const whole = "Subject: x\r\n\r\n..body\r\n.\r\n"
	for n := range len(whole) {
		if _, _, err := readDots(whole[:n], 16, 7); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %q: got %v, want %v", whole[:n], err, io.ErrUnexpectedEOF)
		}
	}
	w := &wire{in: bufio.NewReader(io.MultiReader(strings.NewReader("x\r\n"), iotest.ErrReader(io.ErrClosedPipe)))}
	if _, err := io.ReadAll(&dots{w: w}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want %v", err, io.ErrClosedPipe)
	}
}

// slowDots is what dots does, one byte after the other.
func slowDots(text string) (message, rest string, ok bool) {
	if after, found := strings.CutPrefix(text, ".\r\n"); found {
		return "", after, true
	}
	message, rest, ok = strings.Cut("\r\n"+text, "\r\n.\r\n")
	message = strings.ReplaceAll(message, "\r\n.", "\r\n")
	if ok {
		message += "\r\n"
	}
	return strings.TrimPrefix(message, "\r\n"), rest, ok
}

func FuzzDots(f *testing.F) {
	for _, seed := range []string{".\r\n", "a\r\n.b\r\n.\r\nc", "a\n.\n\r\n.\r", "\r\n.\r\n", "..\r\n.\r.\r\n\r\n.\r\n"} {
		f.Add(seed, uint8(0), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, buffer, step uint8) {
		want, wantRest, ok := slowDots(text)
		got, rest, err := readDots(text, 16+int(buffer), 1+int(step))
		if ok != (err == nil) {
			t.Fatalf("%q: %v", text, err)
		}
		if ok && (got != want || rest != wantRest) {
			t.Errorf("%q: got %q, rest %q; want %q, rest %q", text, got, rest, want, wantRest)
		}
	})
}
