package relay_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Room that is reserved for a delivery stays with its bin while the commit is under way, whatever has the
// bin looked at meanwhile: the books are right before, during and after.
func TestReservedWhileBinsAreLookedAt(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		h := &hooked{Spool: r.spool}
		goOn := make(chan struct{})
		h.commit = func() { <-goOn }
		r.spool = h
		r.build(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, reply := r.try("a@example.com", strings.NewReader(content), "b@one.test"); reply != nil {
				t.Error(reply)
			}
		}()
		synctest.Wait()
		r.run() // looks at every bin
		after(time.Second)
		if err := r.scheduler.Audit(); err != nil {
			t.Errorf("during the commit: %v", err)
		}
		close(goOn)
		<-done
		after(time.Second)
		if err := r.scheduler.Audit(); err != nil {
			t.Errorf("after the commit: %v", err)
		}
		if n := len(r.delivered()); n != 1 {
			t.Errorf("%d delivered, want 1", n)
		}
		r.wantEmpty(t)
	})
}
