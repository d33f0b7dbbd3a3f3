package relay

import (
	"context"
	"fmt"
)

// Alive returns nil once the timer loop, by which everything that waits goes on its way, has
// gone round, which takes the Scheduler's state to be free. It is an error when that does not
// happen before ctx ends, as it does not while Run is not running.
func (s *Scheduler) Alive(ctx context.Context) error {
	round := make(chan struct{})
	select {
	case s.probes <- round:
	case <-ctx.Done():
		return fmt.Errorf("the scheduler does not move: %w", ctx.Err())
	}
	select {
	case <-round:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the scheduler does not end its round: %w", ctx.Err())
	}
}
