package relay_test

import (
	"context"
	"testing"
	"testing/synctest"

	"postrider/relay"
)

// After a change of the policy all that is queued follows, though its host is dead and its
// next attempt far; what is held stays.
func TestReroute(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		route, held := "old", "look"
		r.policy.Routing = func(_ *relay.Message, rcpt relay.Recipient) (relay.Routing, *relay.Reply) {
			routing := relay.Routing{To: relay.Destination{Route: route}}
			if rcpt.Address.Local == "held" {
				routing.Held = held
			}
			return routing, nil
		}
		r.transport.OnDial = func(context.Context, *relay.Site) error {
			return relay.NewReply(451, relay.EnhancedCode{4, 4, 1}, "dead")
		}
		r.start(t)
		o := origin
		var ids []relay.ID
		for _, to := range []string{"a@one.test", "b@one.test", "held@one.test"} {
			m, _ := r.deal(t, &o, to)
			ids = append(ids, m.ID)
		}
		synctest.Wait()
		route = "new"
		var seen, moved int
		if err := r.scheduler.Reroute(t.Context(), func(s, m int) { seen, moved = s, m }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if seen != 3 || moved != 2 {
			t.Errorf("%d seen, %d moved, want 3 and 2", seen, moved)
		}
		for i, want := range []string{"new", "new", "old"} {
			ds, err := r.spool.Deliveries(t.Context(), ids[i])
			if err != nil || len(ds) != 1 || ds[0].To.Route != want {
				t.Errorf("message %d: %+v (%v), want it for %s", i, ds, err, want)
			}
		}
	})
}
