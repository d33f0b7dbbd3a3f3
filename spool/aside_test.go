package spool_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

func aside(t *testing.T, s *spool.Spool) (all []relay.Aside) {
	t.Helper()
	for a, err := range s.Aside(t.Context()) {
		if err != nil {
			t.Fatalf("aside: %v", err)
		}
		all = append(all, a)
	}
	return all
}

// What was set aside can be seen, put back and removed, and leaves nothing behind.
func TestAside(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s, err := spool.Open(spool.Options{Dir: "spool", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	mail := newMail()
	m, ds := mail.message(2, 300<<10)
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{second(s.Restore(t.Context(), m.ID)), second(s.Forget(t.Context(), m.ID)), second(s.Raw(t.Context(), "zz"))} {
		if !errors.Is(err, relay.ErrNotFound) {
			t.Errorf("nothing is aside: got %v, want ErrNotFound", err)
		}
	}
	for round := range 3 {
		if err := s.Quarantine(t.Context(), m.ID, "odd"); err != nil {
			t.Fatal(err)
		}
		all := aside(t, s)
		var whats []string
		for _, a := range all {
			whats = append(whats, a.What)
			if a.Message != m.ID || a.Reason != "odd" || a.At.IsZero() {
				t.Errorf("aside: %+v", a)
			}
			if raw, err := s.Raw(t.Context(), a.Key); err != nil || len(raw) != a.Size {
				t.Errorf("raw of %s: %d bytes, %v, want %d", a.What, len(raw), err, a.Size)
			}
		}
		slices.Sort(whats)
		if want := []string{"delivery", "delivery", "location", "location", "message"}; !slices.Equal(whats, want) {
			t.Errorf("aside: %v, want %v", whats, want)
		}
		if round == 2 {
			break
		}
		if restored, err := s.Restore(t.Context(), m.ID); err != nil || len(restored) != 2 {
			t.Fatalf("restore: %v, %v", restored, err)
		}
		if err := whole(t.Context(), s, m.ID); err != nil {
			t.Error(err)
		}
		claimed, _, err := s.Claim(t.Context(), here, "flow", time.Unix(9, 0), 9)
		if err != nil || len(claimed) != 2 {
			t.Fatalf("claim: %v, %v", claimed, err)
		}
		s.Release(claimed...)
		if left := aside(t, s); len(left) != 0 {
			t.Errorf("still aside: %+v", left)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Forget(t.Context(), m.ID); err != nil || n != 5 {
		t.Errorf("forget: got %d, %v, want 5", n, err)
	}
	wantNothing(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A delivery that was set aside alone does not take its siblings along.
func TestAsideInPart(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Options{Dir: "spool", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	m, ds := newMail().message(2, 10)
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	keys, err := s.Keys('q')
	if err != nil {
		t.Fatal(err)
	}
	good, err := s.Value(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Overwrite(keys[0], []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	claimed, _, err := s.Claim(t.Context(), here, "flow", time.Unix(9, 0), 9)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claim: %v, %v", claimed, err)
	}
	all := aside(t, s)
	if len(all) != 1 || all[0].What != "delivery" {
		t.Fatalf("aside: %+v", all)
	}
	if raw, err := s.Raw(t.Context(), all[0].Key); err != nil || !bytes.Equal(raw, []byte("garbage")) || bytes.Equal(raw, good) {
		t.Errorf("raw: %q, %v", raw, err)
	}
	if _, err := s.Restore(t.Context(), m.ID); !errors.Is(err, relay.ErrCorrupt) {
		t.Errorf("restore garbage: got %v, want ErrCorrupt", err)
	}
	if n, err := s.Forget(t.Context(), m.ID); err != nil || n != 1 {
		t.Errorf("forget: got %d, %v, want 1", n, err)
	}
	if err := whole(t.Context(), s, m.ID); err != nil {
		t.Error(err)
	}
	if err := s.Settle(t.Context(), relay.Settlement{Delivery: claimed[0]}); err != nil {
		t.Fatal(err)
	}
	wantNothing(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func second[T any](_ T, err error) error { return err }

// split settles the first delivery of a message in two, and gives both, claimed.
func split(t *testing.T, s *spool.Spool, m *relay.Message) []relay.Delivery {
	t.Helper()
	claimed := wantClaimed(t, s, m)
	one, two := claimed[0], claimed[0]
	one.Claimed, two.Claimed = false, false
	one.Recipients, two.Recipients = []int{0}, []int{1}
	if err := s.Settle(t.Context(), relay.Settlement{Delivery: claimed[0], Then: []relay.Delivery{one, two}}); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, s, 'p', 1)
	return wantClaimed(t, s, m, m)
}

// The numbers of parts that a message was given after its arrival go with it, whatever of it was
// unreadable when it was forgotten, and so does its body.
func TestForgetParts(t *testing.T) {
	t.Parallel()
	for _, spoilt := range []byte("qmb") {
		t.Run(string(spoilt), func(t *testing.T) {
			t.Parallel()
			s, err := spool.Open(spool.Options{Dir: "spool", FS: vfs.NewMem(), History: spool.HistoryOptions{Keep: -1}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			m, ds := newMail().message(2, 10)
			ds[0].Recipients = []int{0, 1}
			if err := commit(t.Context(), s, m, ds[:1]); err != nil {
				t.Fatal(err)
			}
			parts := split(t, s, m)
			keys, err := s.Keys(spoilt)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Overwrite(keys[len(keys)-1], []byte("garbage")); err != nil {
				t.Fatal(err)
			}
			switch spoilt {
			case 'q': // the one of the two that can be read ends, the other is met by who claims it
				s.Release(parts...)
				if err := s.Settle(t.Context(), relay.Settlement{Delivery: wantClaimed(t, s, m)[0]}); err != nil {
					t.Fatal(err)
				}
			case 'b': // whoever reads the message meets it
				if err := s.Quarantine(t.Context(), m.ID, "odd"); err != nil {
					t.Fatal(err)
				}
			case 'm': // both end, and the last of them meets it
				for _, d := range parts {
					if err := s.Settle(t.Context(), relay.Settlement{Delivery: d}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if len(aside(t, s)) == 0 {
				t.Fatal("nothing was set aside")
			}
			if _, err := s.Forget(t.Context(), m.ID); err != nil {
				t.Fatal(err)
			}
			wantNothing(t, s)
		})
	}
}
