package relay_test

import (
	"errors"
	"testing"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// Each observer is told each fact exactly once.
func TestObservers(t *testing.T) {
	t.Parallel()
	first, second := new(relaytest.Observer), new(relaytest.Observer)
	all := relay.Observers{first, second}
	all.Accepted(relay.Accepted{Message: &relay.Message{}})
	all.Refused(relay.Refused{Stage: "mail"})
	all.Attempted(relay.Attempted{Host: "h"})
	all.Notified(relay.Notified{Dropped: true})
	all.Gated(relay.Gated{Name: "s"})
	all.Faulted(relay.Fault{Err: errors.New("x")})
	for i, o := range []*relaytest.Observer{first, second} {
		got := []int{
			len(o.AllAccepted()), len(o.AllRefused()), len(o.AllAttempted()),
			len(o.AllNotified()), len(o.AllGated()), len(o.AllFaults()),
		}
		for k, n := range got {
			if n != 1 {
				t.Errorf("observer %d was told fact %d %d times, want once", i, k, n)
			}
		}
	}
}
