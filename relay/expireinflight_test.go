package relay_test

import (
	"context"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// What comes to the end of its age while it is being attempted has the outcome of the attempt, and no
// other (X08).
func TestExpiresWhileUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		code int
		want relay.Status
	}{
		"taken": {250, relay.Delivered}, "refused for good": {550, relay.Bounced}, "refused for now": {450, relay.Expired},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.options.Retry.MaxAge, r.options.Stuck = time.Hour, 24*time.Hour
				r.transport.OnDeliver = func(_ context.Context, s *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
					if s.Key == "test/one.test" {
						time.Sleep(3 * time.Hour)
						return relaytest.Answer(tr, reply(c.code, "so"))
					}
					return relaytest.OK(tr)
				}
				r.start(t)
				id := r.send(t, "a@example.com", "b@one.test")
				after(9 * time.Hour)
				var got []relay.Status
				for _, a := range r.observer.AllAttempted() {
					for _, o := range a.Outcomes {
						if a.Delivery.Message == id {
							got = append(got, o.Status)
						}
					}
				}
				if len(got) != 1 || got[0] != c.want {
					t.Errorf("outcomes %v, want %v alone", got, c.want)
				}
				r.wantEmpty(t)
			})
		})
	}
}
