package relay_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"testing/iotest"
	"time"

	"postrider/relay"
)

func TestIDText(t *testing.T) {
	t.Parallel()
	ids := relay.NewIDs(time.Now, rand.Reader)
	for range 1000 {
		id := ids.Next()
		got, err := relay.ParseID(id.String())
		if err != nil || got != id {
			t.Fatalf("ParseID(%s) = %v, %v", id, got, err)
		}
	}
	for _, text := range []string{"", "01K9", "81K9ZJ6V3S6C0X6M4E5T1B2N3P", "01K9ZJ6V3S6C0X6M4E5T1B2N3U"} {
		if id, err := relay.ParseID(text); err == nil {
			t.Errorf("ParseID(%q) = %s, want an error", text, id)
		}
	}
	lower, err := relay.ParseID("01k9zj6v3s6c0x6m4e5t1b2n3p")
	if err != nil || lower.String() != "01K9ZJ6V3S6C0X6M4E5T1B2N3P" {
		t.Errorf("lower case: got %s, %v", lower, err)
	}
}

// IDs increase within a millisecond, when the clock steps back, and when chance fails.
func TestIDsIncrease(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_800_000_000_000)
	clock := at
	for name, ids := range map[string]*relay.IDs{
		"chance":    relay.NewIDs(func() time.Time { return clock }, rand.Reader),
		"no chance": relay.NewIDs(func() time.Time { return clock }, iotest.ErrReader(errors.New("none"))),
	} {
		clock = at
		var last relay.ID
		for i := range 1000 {
			if i == 500 {
				clock = at.Add(-time.Hour)
			}
			id := ids.Next()
			if bytes.Compare(id[:], last[:]) <= 0 {
				t.Fatalf("%s: %s follows %s", name, id, last)
			}
			last = id
		}
		if !last.Time().Equal(at) {
			t.Errorf("%s: Time() = %v, want %v", name, last.Time(), at)
		}
	}
}

func TestIDAt(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_800_000_000_123)
	id := relay.NewIDs(func() time.Time { return at }, rand.Reader).Next()
	bound, after := relay.IDAt(at), relay.IDAt(at.Add(time.Millisecond))
	if bytes.Compare(bound[:], id[:]) > 0 || bytes.Compare(id[:], after[:]) >= 0 {
		t.Errorf("%s is not between %s and %s", id, bound, after)
	}
}
