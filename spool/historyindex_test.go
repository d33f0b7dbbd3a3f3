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

// What cannot be read is passed over part by part, and nothing else is.
func TestPartsBefore(t *testing.T) {
	t.Parallel()
	now := time.Unix(0x102*60+1, 0)
	part := func(n byte) []byte { return []byte{'i', 0x80, 0, 1, n} }
	tests := []struct {
		name        string
		upper, want []byte
		n           int64
	}{
		{"at the end of the index, that of now", []byte{'j'}, part(2), 1},
		{"between parts, the one before", part(9), part(8), 1},
		{"in the middle of a part, the rest of it", append(part(9), 7, 7), part(9), 1},
		{"several", part(9), part(5), 4},
		{"more than there are", []byte{'i', 0, 0, 0, 3}, nil, 4},
	}
	for _, tt := range tests {
		if got := partsBefore(tt.upper, tt.n, now); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: got %x, want %x", tt.name, got, tt.want)
		}
	}
}
