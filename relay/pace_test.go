package relay_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// Whatever holds mail up, an operator is told what it is and what pace it allows.
func TestPace(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(r *rig)
		binds string
		reach float64
	}{
		"rate": {func(r *rig) {
			r.options.Limits.Routes = map[string][]relay.Rate{"test": {{Count: 30, Per: time.Minute}, {Count: 864, Per: 24 * time.Hour}}}
		}, "route test: 30 messages/1m0s", 0.01},
		"window": {func(r *rig) {
			r.options.Connections = 4
			r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
				time.Sleep(2 * time.Second)
				return relaytest.OK(tr)
			}
		}, "window", 2},
		"connections_total": {func(r *rig) {
			r.options.ConnectionsTotal = 1
			r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
				time.Sleep(2 * time.Second)
				return relaytest.OK(tr)
			}
		}, "connections_total", 2.5},
		"gate": {func(r *rig) {
			r.transport.OnDial = func(context.Context, *relay.Site) error {
				refused := reply(451, "refused")
				return &refused
			}
		}, "gate", 0},
		"look-up": {func(r *rig) {
			r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) {
				unknown := reply(451, "no DNS")
				return nil, &unknown
			}
		}, "look-up", 0},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				c.set(r)
				r.start(t)
				for i := range 100 {
					r.send(t, "a@example.com", fmt.Sprintf("u%d@x.test", i))
				}
				after(5 * time.Second)
				p, ok := r.scheduler.PaceOf(relay.Destination{Route: "test", Domain: "x.test"})
				if !ok || !strings.HasPrefix(p.Binding, c.binds) || math.Abs(p.Reach-c.reach) > 0.02*c.reach {
					t.Errorf("binding %q, reach %g, want %q, %g: %+v", p.Binding, p.Reach, c.binds, c.reach, p.Limits)
				}
			})
		})
	}
}

// Where nothing waits, nothing binds.
func TestPaceOfIdle(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Limits.Routes = map[string][]relay.Rate{"test": perMinute(1000)}
		r.options.Idle = time.Hour
		r.start(t)
		r.send(t, "a@example.com", "u@x.test")
		after(time.Second)
		p, ok := r.scheduler.PaceOf(relay.Destination{Route: "test", Domain: "x.test"})
		if !ok || p.Binding != "" || len(p.Limits) == 0 {
			t.Errorf("got %+v, %v", p, ok)
		}
	})
}
