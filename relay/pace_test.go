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

// The rates of one who sends do not hold up a destination for which another has mail.
func TestPaceOfFlows(t *testing.T) {
	for name, c := range map[string]struct {
		senders []string
		binds   string
		reach   float64
	}{
		"all are held up":  {[]string{"a@slow.test", "b@slower.test"}, "flow slower.test: 864 messages/24h0m0s", 0.51},
		"one is not":       {[]string{"a@slow.test", "b@free.test"}, "", 0},
		"one alone is not": {[]string{"b@free.test"}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.options.Limits.Flows = []relay.FlowLimit{
					{Name: "slow.test", Rates: []relay.Rate{{Count: 30, Per: time.Minute}}},
					{Name: "slower.test", Rates: []relay.Rate{{Count: 864, Per: 24 * time.Hour}}},
				}
				r.options.Connections = 1
				r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
					time.Sleep(time.Millisecond)
					return relaytest.OK(tr)
				}
				r.start(t)
				for i := range 200 {
					for _, from := range c.senders {
						r.send(t, from, fmt.Sprintf("u%d@x.test", i))
					}
				}
				after(90 * time.Millisecond)
				p, _ := r.scheduler.PaceOf(relay.Destination{Route: "test", Domain: "x.test"})
				if name != "all are held up" {
					if strings.HasPrefix(p.Binding, "flow") {
						t.Errorf("binding %q: %+v", p.Binding, p.Limits)
					}
					return
				}
				if p.Binding != c.binds || p.Until.IsZero() {
					t.Errorf("binding %q until %v, want %q: %+v", p.Binding, p.Until, c.binds, p.Limits)
				}
				if math.Abs(p.Reach-c.reach) > 0.001 {
					t.Errorf("reach %g, want %g", p.Reach, c.reach)
				}
			})
		})
	}
}

// examiner knows addresses.
type examiner struct{ *relaytest.Transport }

func (examiner) Examine(site *relay.Site) []relay.AddressHealth {
	return []relay.AddressHealth{{Host: site.Key, Addr: "192.0.2.1:25", Failures: 2}}
}

// An operator sees how much of a rate is left, when the next may go, and what the site has taught;
// of a destination where nothing goes on, its rates.
func TestPaceTells(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Limits.Routes = map[string][]relay.Rate{"test": {{Count: 100, Per: time.Minute}}}
		r.options.Limits.Destinations = []relay.DestinationLimit{{Domain: "y.test", Rates: []relay.Rate{{Count: 7, Per: time.Hour}}}}
		r.options.Idle = time.Hour
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: to.Domain, Source: "192.0.2.99"}, nil
		}
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(100 * time.Millisecond)
			return relaytest.OK(tr)
		}
		r.start(t)
		o := r.options
		o.Transport, o.Policy = examiner{r.transport}, r.policy
		r.scheduler.Reload(o)
		for i := range 4 {
			r.send(t, "a@example.com", fmt.Sprintf("u%d@x.test", i))
		}
		after(200 * time.Millisecond)
		p, known := r.scheduler.PaceOf(relay.Destination{Route: "test", Domain: "x.test"})
		if l := p.Limits[0]; !known || l.Name != "route test: 100 messages/1m0s" || l.Of != "route" || l.Left != 6 || l.Binds || !l.Until.IsZero() {
			t.Errorf("%+v, want 6 of a burst of 10 left", p.Limits)
		}
		if p.Source != "192.0.2.99" || len(p.Addresses) != 1 || p.Addresses[0].Failures != 2 {
			t.Errorf("source %q, addresses %+v", p.Source, p.Addresses)
		}
		if l := p.Learned; l.Window < 5 || l.Steady || l.Took < 90*time.Millisecond || l.Took > 110*time.Millisecond || l.Size == 0 {
			t.Errorf("learned %+v", l)
		}
		for i := range 8 {
			r.send(t, "a@example.com", fmt.Sprintf("v%d@x.test", i))
		}
		after(10 * time.Millisecond)
		p, _ = r.scheduler.PaceOf(relay.Destination{Route: "test", Domain: "x.test"})
		wait := time.Until(p.Until)
		if l := p.Limits[0]; p.Binding != l.Name || l.Left != 0 || wait <= 0 || wait > time.Second {
			t.Errorf("%+v: binding %q for %v", p.Limits, p.Binding, wait)
		}
		p, known = r.scheduler.PaceOf(relay.Destination{Route: "test", Domain: "y.test"})
		if known || len(p.Limits) != 2 || p.Limits[0].Of != "destination" || p.Limits[0].Left != 1 || p.Limits[1].Left != 0 {
			t.Errorf("at rest: %v, %+v", known, p.Limits)
		}
	})
}
