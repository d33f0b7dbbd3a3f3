package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// The watchdog hears of a relay that moves, well within its time, and of no other.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := 0
		var stuck atomic.Bool
		w := watchdog{within: 40 * time.Second, log: zerolog.Nop(),
			tell: func(state string) {
				if state != "WATCHDOG=1" {
					t.Errorf("told %q", state)
				}
				told++
			},
			alive: func(ctx context.Context) error {
				if !stuck.Load() {
					return nil
				}
				<-ctx.Done()
				return errors.Join(errors.New("stuck"), ctx.Err())
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.run(ctx) }()
		time.Sleep(35 * time.Second)
		synctest.Wait()
		if told != 4 {
			t.Errorf("told %d times in 35 s, want 4", told)
		}
		stuck.Store(true)
		time.Sleep(85 * time.Second)
		synctest.Wait()
		if told != 4 {
			t.Errorf("told %d times, of them %d by a relay that is stuck", told, told-4)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("end: %v", err)
		}
	})
}
