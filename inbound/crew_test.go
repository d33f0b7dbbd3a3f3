package inbound

import (
	"testing"
	"testing/synctest"
)

// task is a session that lasts until it is told to end.
type task chan struct{}

func (t task) run() { <-t }

// Sessions one after the other have one goroutine, and of a crowd's only some stay.
func TestCrew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew()
		for range 3 {
			one := make(task)
			c.run(one)
			synctest.Wait()
			if n := c.idle.Load(); n != 0 {
				t.Errorf("%d idle goroutines beside a session, want its to be one that had others", n)
			}
			close(one)
			synctest.Wait()
			if n := c.idle.Load(); n != 1 {
				t.Errorf("%d idle goroutines after it, want 1", n)
			}
		}
		all := make(task)
		for range 3 * crewIdle {
			c.run(all)
		}
		close(all)
		synctest.Wait()
		if n := c.idle.Load(); n != crewIdle {
			t.Errorf("%d idle goroutines after a crowd, want %d", n, crewIdle)
		}
		c.dismiss()
		if n := c.idle.Load(); n != 0 {
			t.Errorf("%d idle goroutines after dismiss", n)
		}
	})
}

// The crew is not dismissed before the last session has ended.
func TestCrewWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, last, gone := newCrew(), make(task), make(chan struct{})
		c.run(last)
		go func() { c.dismiss(); close(gone) }()
		synctest.Wait()
		select {
		case <-gone:
			t.Error("dismissed with a session going on")
		default:
		}
		close(last)
		<-gone
	})
}
