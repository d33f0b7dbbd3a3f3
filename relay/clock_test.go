package relay_test

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

const day = 24 * time.Hour

// settable is a wall clock that can be set, and a clock that goes on meanwhile.
type settable struct {
	began   time.Time
	elapsed time.Duration
	set     time.Duration
}

func (s *settable) clock() *relay.Clock {
	return relay.NewClock(func() time.Time { return s.began.Add(s.elapsed + s.set) }, func() time.Duration { return s.elapsed })
}

func TestClock(t *testing.T) {
	t.Parallel()
	year := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		began time.Time
		set   time.Duration
		// off is how far the Clock is from the wall clock at once, and a day after.
		off, later time.Duration
	}{
		"left alone":        {began: year},
		"forwards":          {began: year, set: day, off: -day, later: -day + 3*time.Hour},
		"back":              {began: year, set: -day, off: day, later: day - 3*time.Hour},
		"a little forwards": {began: year, set: 10 * time.Second, off: -10 * time.Second},
		"less than a jump":  {began: year, set: 900 * time.Millisecond},
		"set for the first time": {
			began: time.Unix(60, 0), set: year.Sub(time.Unix(0, 0)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &settable{began: c.began}
			clock := w.clock()
			before := clock.Now()
			w.set = c.set
			if got := clock.Lead(); got != c.off {
				t.Errorf("%v before the wall clock after it was set, want %v", got, c.off)
			}
			if jump := clock.Now().Sub(before); c.off != 0 && jump != 0 {
				t.Errorf("jumped by %v", jump)
			}
			for range 24 * 60 {
				last := clock.Now()
				w.elapsed += time.Minute
				if got := clock.Now().Sub(last); got < 50*time.Second || got > 70*time.Second {
					t.Fatalf("a minute was %v", got)
				}
			}
			if got := clock.Lead(); got != c.later {
				t.Errorf("%v before the wall clock a day later, want %v", got, c.later)
			}
		})
	}
}

// However often the time is asked for, the Clock comes back to the wall clock.
func TestClockAskedOften(t *testing.T) {
	t.Parallel()
	w := &settable{began: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
	clock := w.clock()
	clock.Now()
	w.set = 2 * time.Second
	for range 20_000 {
		w.elapsed += time.Millisecond + 3
		clock.Now()
	}
	if got := clock.Lead(); got != 0 {
		t.Errorf("%v before the wall clock after 20 seconds", got)
	}
}

func TestClockResumes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		mark  time.Time
		lead  time.Duration
		wrong bool
	}{
		"never ran":        {},
		"was down a while": {mark: now.Add(-day)},
		"set back":         {mark: now.Add(day), lead: day},
		"was wrong":        {mark: now.Add(365 * day), wrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := (&settable{began: now}).clock()
			if wrong := clock.Resume(c.mark); wrong != c.wrong || clock.Lead() != c.lead {
				t.Errorf("wrong %v, %v before the wall clock, want %v and %v", wrong, clock.Lead(), c.wrong, c.lead)
			}
		})
	}
}

// X06: while the machine's clock is set by a day, forwards or back, mail is tried when it would have
// been, none expires, and none comes at once.
func TestClockSet(t *testing.T) {
	for name, set := range map[string]time.Duration{"not": 0, "forwards": day, "back": -day} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				tries, good, jump := r.deferring(t)
				r.options.Retry = relay.Retry{First: 10 * time.Minute, Factor: 1, Max: time.Hour, MaxAge: 20 * time.Hour}
				r.start(t)
				for range 10 {
					r.send(t, "a@example.com", "u@x.test")
				}
				after(5 * time.Minute)
				jump.Store(int64(set))
				after(time.Minute)
				if got := tries.Load(); got != 10 {
					t.Errorf("%d attempts, want 10: nothing comes at once", got)
				}
				after(9 * time.Minute)
				if got := tries.Load(); got != 20 {
					t.Errorf("%d attempts after a quarter of an hour, want 20", got)
				}
				good.Store(true)
				after(12 * time.Minute)
				if got := len(r.delivered()); got != 10 {
					t.Errorf("%d of 10 delivered", got)
				}
				r.wantEmpty(t)
			})
		})
	}
}

// present is the time of the bubble, in a year in which clocks have been set.
func present() time.Time { return time.Now().AddDate(30, 0, 0) }

// deferring makes a clock that can be set for the rig, and a next hop that is not good until it is told.
func (r *rig) deferring(t *testing.T) (tries *atomic.Int64, good *atomic.Bool, jump *atomic.Int64) {
	t.Helper()
	tries, good, jump = new(atomic.Int64), new(atomic.Bool), new(atomic.Int64)
	began := time.Now()
	wall := func() time.Time { return present().Add(time.Duration(jump.Load())) }
	r.options.Now = relay.NewClock(wall, func() time.Duration { return time.Since(began) }).Now
	r.ids = relay.NewIDs(r.options.Now, rand.Reader)
	r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
		tries.Add(1)
		if !good.Load() {
			return relaytest.Answer(tr, reply(451, "later"))
		}
		return relaytest.OK(tr)
	}
	return tries, good, jump
}

// X06: a clock that was set back while the relay did not run does not make mail wait for the day to pass
// once more.
func TestClockSetBackBetweenRuns(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Notes = &relaytest.Notes{}
		_, good, jump := r.deferring(t)
		r.start(t)
		r.send(t, "a@example.com", "u@x.test")
		after(time.Second)
		r.stop()
		good.Store(true)
		jump.Store(int64(-day))
		began := time.Now()
		clock := relay.NewClock(func() time.Time { return present().Add(-day) }, func() time.Duration { return time.Since(began) })
		mark, err := relay.MarkOf(t.Context(), r.options.Notes)
		if err != nil || mark.IsZero() {
			t.Fatalf("mark %v (%v)", mark, err)
		}
		if clock.Resume(mark) {
			t.Error("a day back is held for a clock that was wrong before")
		}
		r.options.Now = clock.Now
		r.start(t)
		after(2 * time.Minute)
		r.wantEmpty(t)
	})
}

// Mail that became too old while the relay did not run is tried once more.
func TestOldAfterAbsence(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Notes = &relaytest.Notes{}
		_, good, _ := r.deferring(t)
		r.options.Now = nil
		r.start(t)
		r.send(t, "a@example.com", "u@x.test")
		after(time.Second)
		r.stop()
		time.Sleep(10 * day)
		good.Store(true)
		r.start(t)
		after(2 * time.Minute)
		if got := len(r.delivered()); got != 1 {
			t.Errorf("%d delivered, want 1", got)
		}
		r.wantEmpty(t)
	})
}
