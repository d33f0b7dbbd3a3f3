package relay_test

import (
	"slices"
	"testing"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// retrier records what it is asked to try again.
type retrier struct {
	relay.Transport
	asked []relay.Destination
}

func (r *retrier) Retry(to relay.Destination) { r.asked = append(r.asked, to) }

// An order to retry a destination reaches the Transport that is in force, after a reload too.
func TestRetryReachesTransport(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.build(t)
		o := r.operator(t, &relaytest.Notes{})
		to := relay.Destination{Route: "test", Domain: "site.test"}
		o.RetryDestination(to) // the rig's own is none: nothing to do
		next := &retrier{Transport: r.transport}
		r.scheduler.Reload(relay.SchedulerOptions{Transport: next, Policy: r.policy})
		o.RetryDestination(to)
		if !slices.Equal(next.asked, []relay.Destination{to}) {
			t.Errorf("asked to retry %v, want %v", next.asked, to)
		}
	})
}
