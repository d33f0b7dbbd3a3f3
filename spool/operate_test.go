package spool_test

import (
	"context"
	"crypto/rand"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"postrider/relay"
	"postrider/relay/relaytest"
	"postrider/spool"
)

// operate makes an operator on a spool, whose scheduler runs until the test ends where that is
// wanted.
func operate(t *testing.T, s *spool.Spool, transport relay.Transport, run bool) *relay.Operator {
	t.Helper()
	scheduler, err := relay.NewScheduler(relay.SchedulerOptions{
		Hostname: "relay.test", Spool: s, Transport: transport, Policy: &relaytest.Policy{}, Observer: &relaytest.Observer{},
		IDs: relay.NewIDs(time.Now, rand.Reader), Now: time.Now, Chance: func() float64 { return 0.5 },
		Retry: relay.Retry{First: time.Hour, Factor: 2, Max: time.Hour, MaxAge: 1 << 62},
	})
	if err != nil {
		t.Fatal(err)
	}
	o, err := relay.NewOperator(t.Context(), relay.OperatorOptions{Scheduler: scheduler, Notes: s})
	if err != nil {
		t.Fatal(err)
	}
	if run {
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- scheduler.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	return o
}

func order(action relay.Action, sel relay.Selector) relay.Order {
	return relay.Order{Action: action, Select: sel, All: true, Author: "ann", Reason: "test"}
}

// Many messages are held and released with the right counts, in bounded steps, while the rest
// is delivered.
func TestHoldMany(t *testing.T) {
	t.Parallel()
	n, o := 500, spool.Options{Dir: "spool", FS: vfs.NewMem()}
	if long() {
		n, o = 100_000, spool.Options{Dir: t.TempDir()}
	}
	s, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	mail := newMail()
	test := func(domain string) relay.Destination { return relay.Destination{Route: "test", Domain: domain} }
	for i := range n + n/10 {
		m, ds := mail.message(1, 100)
		domain := "held.test"
		if i%11 == 10 {
			domain = "free.test"
		}
		m.Envelope.Recipients[0].Address = relay.Address{Local: strconv.Itoa(i), Domain: domain}
		ds[0].To, ds[0].Due = test(domain), time.Now().Add(time.Hour)
		if err := commit(t.Context(), s, m, ds); err != nil {
			t.Fatal(err)
		}
	}
	transport := &relaytest.Transport{}
	operator := operate(t, s, transport, true)
	held := relay.Selector{Destination: "*/held.test"}
	reports := 0
	began := time.Now()
	tally, err := operator.Do(t.Context(), order(relay.ActionHold, held), func(relay.Tally) { reports++ })
	if err != nil || tally.Matched != n || tally.Changed != n || reports < n {
		t.Errorf("hold: got %+v, %v after %d reports, want %d", tally, err, reports, n)
	}
	t.Logf("held %d in %v", n, time.Since(began))
	if tally, err = operator.Do(t.Context(), order(relay.ActionRetry, relay.Selector{}), nil); err != nil || tally.Changed != n/10 || tally.Unchanged != n {
		t.Errorf("retry: got %+v, %v, want %d changed", tally, err, n/10)
	}
	wantDelivered(t, transport, n/10)
	// What has been delivered is settled a moment later.
	eventually(t, "all that is left is held", func() bool {
		for range s.Bins(t.Context(), relay.BinHead{}) {
			return false
		}
		return true
	})
	began = time.Now()
	if tally, err = operator.Do(t.Context(), order(relay.ActionRelease, relay.Selector{States: []relay.State{relay.StateHeld}}), nil); err != nil || tally.Changed != n {
		t.Errorf("release: got %+v, %v, want %d changed", tally, err, n)
	}
	t.Logf("released %d in %v", n, time.Since(began))
	wantDelivered(t, transport, n+n/10)
	eventually(t, "the queue is empty", func() bool { return len(arrived(t, s)) == 0 })
	wantNothing(t, s)
}

// wantDelivered waits until that many have been delivered, each once.
func wantDelivered(t *testing.T, transport *relaytest.Transport, n int) {
	t.Helper()
	tick := time.NewTicker(10*time.Millisecond + time.Duration(n)*10*time.Microsecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for len(transport.AllDelivered()) < n {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d delivered, want %d", len(transport.AllDelivered()), n)
		}
	}
	seen := make(map[string]bool)
	for _, d := range transport.AllDelivered() {
		if seen[d.Recipient.String()] {
			t.Errorf("%s was delivered twice", d.Recipient)
		}
		seen[d.Recipient.String()] = true
	}
	if len(seen) != n {
		t.Errorf("%d recipients, want %d", len(seen), n)
	}
}

// The power fails at every operation of the disk while operators change messages of several
// deliveries. Each message is changed as a whole or not at all, nothing is lost, and the order
// can be given again.
func TestPowerLossWhileOperating(t *testing.T) {
	t.Parallel()
	step := 7
	if long() {
		step = 1
	}
	for _, action := range []relay.Action{relay.ActionHold, relay.ActionRelease, relay.ActionDelete, relay.ActionBounce, relay.ActionReroute} {
		t.Run(action.String(), func(t *testing.T) {
			t.Parallel()
			for k := 1; ; k += step {
				c := newCrash(k, 50*(k%2))
				if !c.operate(t, action) {
					if k < 8 {
						t.Errorf("the run took %d operations, which are too few to mean anything", k)
					}
					return
				}
				c.checkOperated(t, action)
			}
		})
	}
}

const operated = 12

// operate carries out an order on a few messages, and says whether the power failed meanwhile.
func (c *crash) operate(t *testing.T, action relay.Action) bool {
	k := c.k
	c.k = -1 // not yet
	s, err := spool.Open(spool.Options{Dir: "spool", FS: errorfs.Wrap(c.disk, c), Memtable: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	mail := newMail()
	for range operated {
		m, ds := mail.message(3, 100)
		for i := range ds {
			if action == relay.ActionRelease {
				ds[i].Held = "at first"
			}
			ds[i].To.Domain = strconv.Itoa(i) + ".test"
		}
		if err := commit(t.Context(), s, m, ds); err != nil {
			t.Fatal(err)
		}
	}
	c.mu.Lock()
	c.n, c.k = 0, k
	c.mu.Unlock()
	o := operate(t, s, &relaytest.Transport{}, false)
	want := order(action, relay.Selector{Sender: "a@example.com"}) // and not the notices
	if action == relay.ActionReroute {
		want.Route = "else"
	}
	for range 2 { // the second time there is nothing to do, or it goes where it is
		if _, err := o.Do(t.Context(), want, func(relay.Tally) { _ = s.Remember(t.Context(), relay.Note{Key: "tick", Value: []byte("x")}) }); err != nil {
			t.Errorf("%s: %v", action, err)
		}
		if err := s.Flush(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return c.left != nil
}

// checkOperated looks at what the crash has left.
func (c *crash) checkOperated(t *testing.T, action relay.Action) {
	s, err := spool.Open(spool.Options{Dir: "spool", FS: c.left, Fault: func(f relay.Fault) {
		t.Errorf("crash at %d: fault: %s: %v", c.k, f.Doing, f.Err)
	}})
	if err != nil {
		t.Fatalf("crash at %d: open: %v", c.k, err)
	}
	before, notices := 0, 0
	for _, id := range arrived(t, s) {
		ds, err := s.Deliveries(t.Context(), id)
		if err != nil || len(ds) == 0 {
			t.Fatalf("crash at %d: %v, %v", c.k, ds, err)
		}
		if len(ds) == 1 && action == relay.ActionBounce {
			notices++
			continue
		}
		if err := whole(t.Context(), s, id); err != nil {
			t.Errorf("crash at %d: %v", c.k, err)
		}
		changed := 0
		for _, d := range ds {
			if (d.Held != "") != (action == relay.ActionRelease) && action <= relay.ActionRelease || d.To.Route == "test" {
				changed++
			}
		}
		switch {
		case changed == 0:
			before++
		case changed != len(ds):
			t.Errorf("crash at %d: %s has been changed in part: %+v", c.k, id, ds)
		}
		if len(ds) != 3 {
			t.Errorf("crash at %d: %s has %d deliveries of 3", c.k, id, len(ds))
		}
	}
	if left := before + notices; action == relay.ActionBounce && left != operated {
		t.Errorf("crash at %d: %d waiting and %d notices, want %d in all", c.k, before, notices, operated)
	}
	tally, err := operate(t, s, &relaytest.Transport{}, false).Do(t.Context(), order(relay.ActionDelete, relay.Selector{}), nil)
	if err != nil || tally.Changed != tally.Matched {
		t.Errorf("crash at %d: delete the rest: %+v, %v", c.k, tally, err)
	}
	wantNothing(t, s)
	if err := s.Close(); err != nil {
		t.Errorf("crash at %d: close: %v", c.k, err)
	}
}
