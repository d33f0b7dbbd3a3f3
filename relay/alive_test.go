package relay_test

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A scheduler proves that it moves while it runs, and neither before nor after.
func TestAlive(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.build(t)
		alive := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return r.scheduler.Alive(ctx)
		}
		if err := alive(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before Run: %v, want the end of the time", err)
		}
		r.run()
		for range 3 {
			if err := alive(); err != nil {
				t.Errorf("while it runs: %v", err)
			}
		}
		r.stop()
		r.stop = func() {}
		if err := alive(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after Run: %v, want the end of the time", err)
		}
	})
}
