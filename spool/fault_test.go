package spool_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"postrider/relay"
	"postrider/spool"
)

// testCorrupt writes rubbish over each kind of record. What cannot be read is set aside and
// reported, and all else is delivered.
func testCorrupt(t *testing.T) {
	t.Parallel()
	rubbish := [][]byte{nil, {0}, {9, 9, 9}, []byte("\x01\x84\x00"), []byte("\x01\x87\x81\x20\x00\x00\x00\x83\x00\x00\x00\x60")}
	for i, value := range rubbish {
		t.Run(fmt.Sprint("q", i), func(t *testing.T) { corruptDelivery(t, value) })
		t.Run(fmt.Sprint("m", i), func(t *testing.T) { corruptMessage(t, value) })
		t.Run(fmt.Sprint("d", i), func(t *testing.T) { corruptLocation(t, value) })
	}
	t.Run("key", corruptKey)
	t.Run("body", corruptBody)
}

// three queues three messages, so that the middle one can be spoilt.
func three(t *testing.T) (*spool.Spool, *faults, []*relay.Message) {
	f := &faults{}
	s, err := spool.Open(spool.Options{Dir: "spool", FS: vfs.NewMem(), Fault: f.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	mail := newMail()
	var ms []*relay.Message
	for range 3 {
		m, ds := mail.message(1, 3000)
		if err := commit(t.Context(), s, m, ds); err != nil {
			t.Fatal(err)
		}
		ms = append(ms, m)
	}
	return s, f, ms
}

// spoil overwrites the second key of a space.
func spoil(t *testing.T, s *spool.Spool, space byte, value []byte) {
	t.Helper()
	keys, err := s.Keys(space)
	if err != nil || len(keys) != 3 {
		t.Fatalf("keys: got %x, %v, want three", keys, err)
	}
	if err := s.Overwrite(keys[1], value); err != nil {
		t.Fatal(err)
	}
}

// wantClaimed claims all and checks which messages came.
func wantClaimed(t *testing.T, s *spool.Spool, want ...*relay.Message) []relay.Delivery {
	t.Helper()
	ds, _, err := s.Claim(t.Context(), here, "flow", time.Unix(3, 0), 9)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	if len(ds) != len(want) {
		t.Fatalf("claim: got %v, want %d", ds, len(want))
	}
	for i, m := range want {
		if ds[i].Message != m.ID {
			t.Errorf("claim: got %s, want %s", ds[i].Message, m.ID)
		}
	}
	return ds
}

func corruptDelivery(t *testing.T, value []byte) {
	s, f, ms := three(t)
	spoil(t, s, 'q', value)
	wantClaimed(t, s, ms[0], ms[2])
	wantKeys(t, s, 'x', 1)
	wantKeys(t, s, 'q', 2)
	if f.count() != 1 || f.all[0].Message != ms[1].ID {
		t.Errorf("got faults %v, want one about %s", f.all, ms[1].ID)
	}
	if err := s.Quarantine(t.Context(), ms[1].ID, "by hand"); err != nil {
		t.Errorf("quarantine: %v", err)
	}
	wantKeys(t, s, 'x', 3)
	wantKeys(t, s, 'b', 3)
}

func corruptMessage(t *testing.T, value []byte) {
	s, _, ms := three(t)
	spoil(t, s, 'm', value)
	if _, err := s.Message(t.Context(), ms[1].ID); !errors.Is(err, relay.ErrCorrupt) {
		t.Errorf("message: got %v, want ErrCorrupt", err)
	}
	if _, err := s.Body(t.Context(), &relay.Message{ID: ms[1].ID}); !errors.Is(err, relay.ErrCorrupt) {
		t.Errorf("body: got %v, want ErrCorrupt", err)
	}
	ds := wantClaimed(t, s, ms...)
	for _, d := range ds { // whoever settles without having read the message
		if err := s.Settle(t.Context(), relay.Settlement{Delivery: d}); err != nil {
			t.Errorf("settle: %v", err)
		}
	}
	wantKeys(t, s, 'm', 0)
	wantKeys(t, s, 'x', 1)
	wantKeys(t, s, 'b', 1)
}

func corruptLocation(t *testing.T, value []byte) {
	s, _, ms := three(t)
	spoil(t, s, 'd', value)
	ds := wantClaimed(t, s, ms...)
	listed := 0
	for _, err := range s.List(t.Context(), relay.ID{}) {
		if err != nil {
			t.Errorf("list: %v", err)
		}
		listed++
	}
	if listed != 2 {
		t.Errorf("listed %d deliveries, want the 2 that can be found", listed)
	}
	for _, d := range ds {
		if err := s.Settle(t.Context(), relay.Settlement{Delivery: d}); err != nil {
			t.Errorf("settle: %v", err)
		}
	}
	wantKeys(t, s, 'm', 0)
	wantKeys(t, s, 'b', 0)
}

func corruptKey(t *testing.T) {
	s, f, ms := three(t)
	keys, err := s.Keys('q')
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range [][]byte{[]byte("q"), append(keys[1], 0), keys[0][:len(keys[0])-40], []byte("qx\x00\x02")} {
		if err := s.Overwrite(key, []byte("?")); err != nil {
			t.Fatal(err)
		}
	}
	wantClaimed(t, s, ms...)
	bins := 0
	for b, err := range s.Bins(t.Context(), relay.BinHead{}) {
		if err != nil || b.To != here {
			t.Errorf("bins: got %v, %v", b, err)
		}
		bins++
	}
	if bins != 1 {
		t.Errorf("got %d bins, want 1", bins)
	}
	wantKeys(t, s, 'q', 3)
	wantKeys(t, s, 'x', 4)
	if f.count() != 4 {
		t.Errorf("got faults %v, want 4", f.all)
	}
}

func corruptBody(t *testing.T) {
	s, _, ms := three(t)
	spoil(t, s, 'b', []byte("short"))
	if err := whole(t.Context(), s, ms[1].ID); !errors.Is(err, relay.ErrCorrupt) {
		t.Errorf("body: got %v, want ErrCorrupt", err)
	}
	if err := whole(t.Context(), s, ms[2].ID); err != nil {
		t.Error(err)
	}
}

func testSecondProcess(t *testing.T) {
	t.Parallel()
	for name, fs := range map[string]vfs.FS{"disk": nil, "memory": vfs.NewMem()} {
		dir := t.TempDir()
		s, err := spool.Open(spool.Options{Dir: dir, FS: fs})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := spool.Open(spool.Options{Dir: dir, FS: fs}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: second open: got %v, want an error that names %s", name, err, dir)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
		if s, err = spool.Open(spool.Options{Dir: dir, FS: fs}); err != nil {
			t.Fatalf("%s: open after close: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	if _, err := spool.Open(spool.Options{}); err == nil {
		t.Error("open without a directory: want an error")
	}
	dir := t.TempDir() + "/new/spool"
	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: got %v, %v, want mode 0700", info, err)
	}
	m, ds := newMail().message(2, 300<<10)
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	wantClaimed(t, s, m, m)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := s.Message(t.Context(), m.ID); err == nil {
		t.Error("message after close: want an error")
	}
	if s, err = spool.Open(spool.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	wantClaimed(t, s, m, m) // claims do not outlive the process
	if err := whole(t.Context(), s, m.ID); err != nil {
		t.Error(err)
	}
	if err := s.Overwrite([]byte("oformat"), []byte{99}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err = spool.Open(spool.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("open a newer format: got %v, want an error that says so", err)
	}
}

// breakAt fails the k-th operation, and those after it too where it is for good.
type breakAt struct {
	crash
	forGood bool
}

var errBroken = errors.New("the disk is broken")

func (b *breakAt) MaybeError(errorfs.Op) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n++; b.n == b.k || b.forGood && b.n > b.k {
		return errBroken
	}
	return nil
}

// TestFailed breaks the disk for good: the spool says so, refuses, and still reads.
func TestFailed(t *testing.T) {
	t.Parallel()
	b := &breakAt{crash: *newCrash(1<<30, 0), forGood: true}
	s, err := spool.Open(spool.Options{Dir: "spool", FS: errorfs.Wrap(b.disk, b)})
	if err != nil {
		t.Fatal(err)
	}
	mail := newMail()
	kept, ds := mail.message(1, 3000)
	if err := commit(t.Context(), s, kept, ds); err != nil {
		t.Fatal(err)
	}
	claimed := wantClaimed(t, s, kept)
	b.mu.Lock()
	b.k = b.n + 1
	b.mu.Unlock()
	m, ds := mail.message(1, 3000)
	if err := commit(t.Context(), s, m, ds); !errors.Is(err, errBroken) {
		t.Errorf("commit: got %v, want the disk's error", err)
	}
	<-s.Failed()
	if err := s.Settle(t.Context(), relay.Settlement{Delivery: claimed[0]}); !errors.Is(err, errBroken) {
		t.Errorf("settle: got %v, want the disk's error", err)
	}
	var r *relay.Reply
	if err := s.Admit(0); !errors.As(err, &r) || r.Code != 451 {
		t.Errorf("admit: got %v, want 451", err)
	}
	if err := whole(t.Context(), s, kept.ID); err != nil {
		t.Errorf("read: %v", err)
	}
	if err := s.Close(); !errors.Is(err, errBroken) {
		t.Errorf("close: got %v, want the disk's error", err)
	}
}

// TestBroken fails each operation in turn, and in the short form every fourth, each time others. Whatever happens, nothing that was acknowledged
// is lost, and nobody hangs.
func TestBroken(t *testing.T) {
	t.Parallel()
	step := strideOf(4)
	for _, forGood := range []bool{false, true} {
		t.Run(fmt.Sprintf("for good=%v", forGood), func(t *testing.T) {
			t.Parallel()
			for k := 1 + rand.IntN(step); ; k += step {
				b := &breakAt{crash: *newCrash(k, 0), forGood: forGood}
				useBroken(t, b)
				if t.Failed() {
					t.Fatalf("at operation %d", k)
				}
				if b.n < k {
					if k < 40 {
						t.Errorf("only %d operations", k)
					}
					break
				}
			}
		})
	}
}

func useBroken(t *testing.T, b *breakAt) {
	o := spool.Options{Dir: "spool", FS: errorfs.Wrap(b.disk, b)}
	if s, err := spool.Open(o.RetryEvery(time.Microsecond)); err == nil {
		mail := newMail()
		for range 4 {
			m, ds := mail.message(1, 200<<10)
			ds[0].Claimed = true
			if err := commit(t.Context(), s, m, ds); err != nil {
				continue
			}
			b.note(b.acked, m.ID)
			if len(b.acked) == 2 {
				b.note(b.settled, m.ID)
				_ = s.Settle(t.Context(), relay.Settlement{Delivery: ds[0]})
			}
		}
		_ = s.Close()
	}
	b.left, b.wereAcked, b.wereSettled = b.disk.CrashClone(vfs.CrashCloneCfg{}), b.acked, b.settled
	b.check(t)
}
