package spool_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"postrider/relay"
	"postrider/spool"
)

// crash cuts the power before the k-th operation that changes the disk, and notes what
// had been promised by then.
type crash struct {
	disk *vfs.MemFS
	// keep is how many percent of the unsynced blocks survive.
	keep int

	mu sync.Mutex
	// n counts operations up to k.
	n, k int
	// acked are the messages whose commit has returned, and settled those whose last
	// delivery somebody has begun to settle.
	acked, settled map[relay.ID]bool

	// left is the disk after the crash, with acked and settled as they were.
	left                   *vfs.MemFS
	wereAcked, wereSettled map[relay.ID]bool
}

func newCrash(k, keep int) *crash {
	return &crash{
		disk: vfs.NewCrashableMem(), k: k, keep: keep,
		acked: make(map[relay.ID]bool), settled: make(map[relay.ID]bool),
	}
}

// MaybeError never fails: it only watches.
func (c *crash) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n++; c.n == c.k {
		c.wereAcked, c.wereSettled = maps.Clone(c.acked), maps.Clone(c.settled)
		c.left = c.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.keep, RNG: rand.New(rand.NewPCG(1, uint64(c.k)))})
	}
	return nil
}

func (c *crash) String() string { return "crash" }

func (c *crash) note(set map[relay.ID]bool, id relay.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set[id] = true
}

// load commits from several goroutines at once, short mail and long, and settles half of it.
func (c *crash) load(t *testing.T, s *spool.Spool) {
	var wg sync.WaitGroup
	mail := newMail()
	for w := range 6 {
		wg.Go(func() {
			for i := range 4 {
				size := 3000
				if (w+i)%3 == 0 {
					size = 150 << 10
				}
				m, ds := mail.message(1+i%2, size)
				for k := range ds {
					ds[k].Claimed = w%2 == 0
				}
				if err := commit(t.Context(), s, m, ds); err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				c.note(c.acked, m.ID)
				if w%2 != 0 {
					continue
				}
				for k, d := range ds {
					if k == len(ds)-1 {
						c.note(c.settled, m.ID)
					}
					if err := s.Settle(t.Context(), relay.Settlement{Delivery: d}); err != nil {
						t.Errorf("settle: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func (c *crash) run(t *testing.T) {
	s, err := spool.Open(spool.Options{Dir: "spool", FS: errorfs.Wrap(c.disk, c), Memtable: 1 << 20})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	c.load(t, s)
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// check opens what the crash has left: each message that was acknowledged and not settled is
// there, each that is there is whole, and nothing is there that belongs to none.
func (c *crash) check(t *testing.T) {
	s, err := spool.Open(spool.Options{Dir: "spool", FS: c.left, Fault: func(f relay.Fault) {
		t.Errorf("crash at %d: fault: %s: %v", c.k, f.Doing, f.Err)
	}})
	if err != nil {
		t.Fatalf("crash at %d: open: %v", c.k, err)
	}
	there := make(map[relay.ID]bool)
	for _, id := range arrived(t, s) {
		there[id] = true
		if err := whole(t.Context(), s, id); err != nil {
			t.Errorf("crash at %d: %v", c.k, err)
		}
		ds, err := s.ClaimMessage(t.Context(), id)
		if err != nil {
			t.Errorf("crash at %d: claim: %v", c.k, err)
		}
		for _, d := range ds {
			if err := s.Settle(t.Context(), relay.Settlement{Delivery: d}); err != nil {
				t.Errorf("crash at %d: settle: %v", c.k, err)
			}
		}
	}
	for id := range c.wereAcked {
		if !there[id] && !c.wereSettled[id] {
			t.Errorf("crash at %d: message %s is lost", c.k, id)
		}
	}
	wantNothing(t, s)
	if err := s.Close(); err != nil {
		t.Errorf("crash at %d: close: %v", c.k, err)
	}
}

// The power fails at every operation of a run with 24 messages in the long form, and in the short
// one at every tenth, each time others.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	step := strideOf(10)
	for _, keep := range []int{0, 50} {
		t.Run(fmt.Sprintf("keep=%d", keep), func(t *testing.T) {
			t.Parallel()
			for k := 1 + rand.IntN(step); ; k += step {
				c := newCrash(k, keep)
				c.run(t)
				if c.left == nil || t.Failed() {
					if k < 70 {
						t.Errorf("the run took %d operations, which are too few to mean anything", k)
					}
					break
				}
				c.check(t)
			}
		})
	}
}

// strideOf is how many operations lie between two faults of a test.
func strideOf(short int) int {
	if long() {
		return 1
	}
	return short
}
