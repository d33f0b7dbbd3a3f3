package outbound

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeResolver answers with a time to live, or fails, after a while.
type fakeResolver struct {
	mu    sync.Mutex
	calls int
	ttl   time.Duration
	wait  time.Duration
	err   error
}

func (f *fakeResolver) lookup(ctx context.Context, q question) (answer, error) {
	f.mu.Lock()
	f.calls++
	wait, ttl, err := f.wait, f.ttl, f.err
	f.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	return answer{exists: true, mxs: []mx{{host: q.name}}, expires: time.Now().Add(ttl)}, err
}

func (f *fakeResolver) set(edit func(*fakeResolver)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit(f)
}

func (f *fakeResolver) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

var errResolve = errors.New("no answer")

func TestCacheKeepsForTimeToLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeResolver{ttl: time.Minute}
		c := newCache(f, 10, time.Now)
		for _, step := range []struct {
			after time.Duration
			calls int
		}{{0, 1}, {time.Minute - 1, 1}, {1, 2}, {time.Minute, 3}} {
			time.Sleep(step.after)
			if _, err := c.lookup(t.Context(), question{name: "a"}); err != nil {
				t.Fatal(err)
			}
			if got := f.count(); got != step.calls {
				t.Errorf("%d look-ups after %s, want %d", got, step.after, step.calls)
			}
		}
	})
}

// While no new answer is to be had the old one serves, for an hour, and failures are not kept.
func TestCacheServesStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeResolver{ttl: time.Minute}
		c := newCache(f, 10, time.Now)
		q := question{name: "a"}
		c.lookup(t.Context(), q)
		f.set(func(f *fakeResolver) { f.err = errResolve })
		time.Sleep(time.Minute + staleFor - 1)
		if a, err := c.lookup(t.Context(), q); err != nil || len(a.mxs) != 1 {
			t.Errorf("got %v, %v, want the stale answer", a, err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := c.lookup(t.Context(), q); !errors.Is(err, errResolve) {
			t.Errorf("got %v, want the failure", err)
		}
		f.set(func(f *fakeResolver) { f.err = nil })
		if _, err := c.lookup(t.Context(), q); err != nil {
			t.Errorf("the failure was kept: %v", err)
		}
	})
}

func TestCacheAsksOnce(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{nil, errResolve} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeResolver{ttl: time.Minute, wait: time.Second, err: fault}
			c := newCache(f, 10, time.Now)
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					if _, err := c.lookup(t.Context(), question{name: "a"}); !errors.Is(err, fault) {
						t.Errorf("got %v, want %v", err, fault)
					}
				})
			}
			wg.Wait()
			if got := f.count(); got != 1 {
				t.Errorf("%d look-ups, want 1", got)
			}
		})
	}
}

// Whoever gives up does so alone.
func TestCacheSurvivesImpatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeResolver{ttl: time.Minute, wait: time.Second}
		c := newCache(f, 10, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.lookup(ctx, question{name: "a"}); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want canceled", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := c.lookup(t.Context(), question{name: "a"}); err != nil {
				t.Errorf("one who waited got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeResolver{ttl: time.Minute}
		const size = 50
		c := newCache(f, size, time.Now)
		for i := range 10 * size {
			c.lookup(t.Context(), question{name: fmt.Sprint(i)})
		}
		if got := len(c.entries); got != size {
			t.Errorf("%d entries, want %d", got, size)
		}
		f.set(func(f *fakeResolver) { f.err = errResolve })
		c.lookup(t.Context(), question{name: "failed"})
		if _, kept := c.entries[question{name: "failed"}]; kept {
			t.Error("an entry without an answer was kept")
		}
	})
}
