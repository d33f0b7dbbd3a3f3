package spool_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

func verify(t *testing.T, s *spool.Spool) *spool.Verified {
	t.Helper()
	v, err := s.Verify(t.Context(), nil)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	return v
}

// fill stores messages short and long, some with a delivery held, settled or set aside.
func fill(t *testing.T, s *spool.Spool) []*relay.Message {
	t.Helper()
	mail := newMail()
	var all []*relay.Message
	for i := range 40 {
		m, ds := mail.message(1+i%3, []int{10, 5000, 400 << 10}[i%3])
		if i%4 == 0 {
			ds[0].Held = "look"
		}
		if err := commit(t.Context(), s, m, ds); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	end(t, s, all[3].ID, "delivered", time.Now())
	if err := s.Quarantine(t.Context(), all[2].ID, "odd"); err != nil {
		t.Fatal(err)
	}
	return all
}

// A checkpoint of a spool at work is a spool that is whole, with all that was there.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s, err := spool.Open(spool.Options{Dir: "spool", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	want := arrived(t, s)
	if err := s.Checkpoint(t.Context(), "copy"); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkpoint(t.Context(), "copy"); err == nil {
		t.Error("checkpoint over another: want an error")
	}
	for _, id := range want { // what goes on after is not in the copy
		end(t, s, id, "delivered", time.Now())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := spool.Open(spool.Options{Dir: "copy", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if got := arrived(t, c); !slices.Equal(got, want) {
		t.Errorf("the copy has %d messages, want %d", len(got), len(want))
	}
	for _, id := range want {
		if err := whole(t.Context(), c, id); err != nil {
			t.Error(err)
		}
	}
	v := verify(t, c)
	if v.Wrong != 0 || v.Messages != len(want) || v.Aside == 0 || v.Held == 0 {
		t.Errorf("verified: %+v", v)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// Each kind of damage is found, and named.
func TestVerify(t *testing.T) {
	t.Parallel()
	first := func(t *testing.T, s *spool.Spool, space byte) []byte {
		t.Helper()
		keys, err := s.Keys(space)
		if err != nil || len(keys) == 0 {
			t.Fatalf("keys of %c: %v, %v", space, keys, err)
		}
		return keys[0]
	}
	// short is the body of the first message, which is not among those set aside.
	short := func(t *testing.T, s *spool.Spool) []byte {
		t.Helper()
		id := arrived(t, s)[0]
		return append(append([]byte{'b'}, id[:]...), 0, 0, 0, 0)
	}
	for name, tt := range map[string]struct {
		harm func(t *testing.T, s *spool.Spool) error
		want string
	}{
		"nothing":          {func(*testing.T, *spool.Spool) error { return nil }, ""},
		"message":          {func(t *testing.T, s *spool.Spool) error { return s.Overwrite(first(t, s, 'm'), []byte("x")) }, "message "},
		"message is gone":  {func(t *testing.T, s *spool.Spool) error { return s.Erase(first(t, s, 'm')) }, "has no message"},
		"delivery":         {func(t *testing.T, s *spool.Spool) error { return s.Overwrite(first(t, s, 'q'), []byte("x")) }, "delivery "},
		"delivery is gone": {func(t *testing.T, s *spool.Spool) error { return s.Erase(first(t, s, 'q')) }, "is not where its location says"},
		"location":         {func(t *testing.T, s *spool.Spool) error { return s.Overwrite(first(t, s, 'd'), []byte("x")) }, "leads to"},
		"location is gone": {func(t *testing.T, s *spool.Spool) error { return s.Erase(first(t, s, 'd')) }, "its location says"},
		"piece of a body":  {func(t *testing.T, s *spool.Spool) error { return s.Overwrite(short(t, s), []byte("x")) }, "piece "},
		"body is gone":     {func(t *testing.T, s *spool.Spool) error { return s.Erase(short(t, s)) }, "piece "},
		"body without owner": {func(t *testing.T, s *spool.Spool) error {
			return s.Overwrite(append([]byte{'b'}, make([]byte, 20)...), []byte("x"))
		}, "belongs to no message"},
		"key": {func(t *testing.T, s *spool.Spool) error { return s.Overwrite([]byte("mx"), []byte("x")) }, "malformed key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := spool.Open(spool.Options{Dir: "spool", FS: vfs.NewMem()})
			if err != nil {
				t.Fatal(err)
			}
			fill(t, s)
			if err := tt.harm(t, s); err != nil {
				t.Fatal(err)
			}
			v := verify(t, s)
			if all := strings.Join(v.Faults, "\n"); (v.Wrong > 0) != (tt.want != "") || !strings.Contains(all, tt.want) {
				t.Errorf("got %d faults, want %q:\n%s", v.Wrong, tt.want, all)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
