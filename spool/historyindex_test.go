package spool

import (
	"bytes"
	"hash/fnv"
	"testing"
	"time"
)

// The keys of the index stay what they are: those of the past are there to be found.
func TestIndexPrefix(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a@example.com", "A@Example.COM", "üÜ@example.com", "one\x00two"} {
		h := fnv.New64a()
		h.Write([]byte{indexSender})
		h.Write(bytes.ToLower([]byte(text)))
		want := h.Sum([]byte{'i', 0x80, 0, 1, 2})
		if got := indexPrefix(time.Unix(0x102*60+59, 0), indexSender, text); !bytes.Equal(got, want) {
			t.Errorf("%q: got %x, want %x", text, got, want)
		}
	}
}
