package load

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMessage(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 300, 4096, 4097, 100_000, 1 << 20} {
		for n := range int64(80) { // each remainder of a line
			var b bytes.Buffer
			b.Write(newMaker("run", "a@example.com", size).make(&b, n, time.Unix(0, 0)))
			if size >= 400 && b.Len() != size {
				t.Fatalf("size %d: message %d has %d bytes", size, n, b.Len())
			}
			header, body, _ := bytes.Cut(b.Bytes(), []byte("\r\n\r\n"))
			if want := "\r\n" + SumField + ": " + BodySum(body); !strings.HasSuffix(string(header), want) {
				t.Fatalf("size %d: %q does not end in %q", size, header, want)
			}
			if text := b.String(); strings.Count(text, "\n") != strings.Count(text, "\r\n") || strings.Count(text, "\r") != strings.Count(text, "\n") || !strings.HasSuffix(text, "\r\n") {
				t.Fatalf("size %d: message %d has odd line ends", size, n)
			}
			size++
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	l := &Load{o: Options{Address: "user{n}@d{d}.example", Recipients: 2, Domains: 3}}
	var got []string
	for n := int64(1); n <= 2; n++ {
		got = append(got, l.addresses(n)...)
	}
	want := []string{"user1@d1.example", "user2@d2.example", "user3@d0.example", "user4@d1.example"}
	if !slices.Equal(got, want) {
		t.Errorf("addresses are %q, want %q", got, want)
	}
}
