package relay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

func perMinute(n int64) []relay.Rate { return []relay.Rate{{Count: n, Per: time.Minute}} }

// Each kind of rate holds its mail to it, and lets all else pass.
func TestRates(t *testing.T) {
	sites := func(names ...string) func(relay.Destination) (*relay.Site, error) {
		return func(to relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: to.Domain, Names: []string{"mx." + to.Domain}}, nil
		}
	}
	for name, c := range map[string]struct {
		limits relay.Limits
		siteOf func(relay.Destination) (*relay.Site, error)
		// per is how many of ours are delivered in a minute, free whether b.test is left alone.
		free bool
	}{
		"route":       {limits: relay.Limits{Routes: map[string][]relay.Rate{"test": perMinute(6)}}},
		"destination": {limits: relay.Limits{Destinations: []relay.DestinationLimit{{Domain: "a*.test", Rates: perMinute(6)}}}, free: true},
		"provider":    {limits: relay.Limits{Providers: []relay.ProviderLimit{{Name: "p", MX: []string{"*.test"}, Rates: perMinute(6)}}}, siteOf: sites()},
		"flow":        {limits: relay.Limits{Flows: []relay.FlowLimit{{Name: "a.example", Rates: perMinute(6)}}}, free: true},
		"site": {siteOf: func(to relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: to.Domain, Rates: map[string][]relay.Rate{"a.test": perMinute(6)}[to.Domain]}, nil
		}, free: true},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.options.Limits = c.limits
				r.transport.SiteOf = c.siteOf
				r.start(t)
				for i := range 30 {
					r.send(t, "x@a.example", fmt.Sprintf("u%d@a.test", i))
				}
				if c.free {
					for i := range 30 {
						r.send(t, "x@b.example", fmt.Sprintf("u%d@b.test", i))
					}
				}
				after(time.Minute - time.Second)
				want := 6
				if c.free {
					want += 30
				}
				if got := len(r.delivered()); got != want {
					t.Errorf("%d delivered in the first minute, want %d", got, want)
				}
				after(5 * time.Minute)
				r.wantEmpty(t)
			})
		})
	}
}

// Sites of a provider share its connections; the others have theirs.
func TestProviderConnections(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Limits.Providers = []relay.ProviderLimit{{Name: "big", MX: []string{"*.big.test"}, Connections: 3}}
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: to.Domain, Names: []string{to.Domain}}, nil
		}
		open, most, others := 0, 0, 0
		r.transport.OnDeliver = func(_ context.Context, site *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if site.Key == "other.test" {
				others++
				return relaytest.OK(tr)
			}
			r.gauge(func() { open++; most = max(most, open) })
			time.Sleep(time.Second)
			r.gauge(func() { open-- })
			return relaytest.OK(tr)
		}
		r.start(t)
		for i := range 10 {
			r.send(t, "x@a.example", fmt.Sprintf("u@d%d.big.test", i))
		}
		r.send(t, "x@a.example", "u@other.test")
		after(time.Second / 2)
		if others != 1 {
			t.Error("a site of nobody's waits for the provider")
		}
		after(time.Minute)
		if most != 3 {
			t.Errorf("%d connections to the provider at once, want 3", most)
		}
		r.wantEmpty(t)
	})
}

// The number of deliveries to one of a site's destinations is bounded where it is asked for.
func TestDestinationConnections(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Limits.Destinations = []relay.DestinationLimit{{Domain: "slow.test", Connections: 2}}
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) { return &relay.Site{Key: "one"}, nil }
		open, most := 0, 0
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if tr.Recipients[0].Address.Domain == "slow.test" {
				r.gauge(func() { open++; most = max(most, open) })
				time.Sleep(time.Second)
				r.gauge(func() { open-- })
			}
			return relaytest.OK(tr)
		}
		r.start(t)
		for i := range 20 {
			r.send(t, "x@a.example", fmt.Sprintf("u%d@slow.test", i))
		}
		for i := range 20 {
			r.send(t, "x@a.example", fmt.Sprintf("u%d@fast.test", i))
		}
		after(time.Second / 2)
		if got := len(r.delivered()); got != 20 {
			t.Errorf("%d delivered, want the 20 of the fast one", got)
		}
		after(time.Minute)
		if most > 2 {
			t.Errorf("%d at once to the slow one, want 2", most)
		}
		r.wantEmpty(t)
	})
}

// Rates of connections and bytes hold too.
func TestRatesOfConnectionsAndBytes(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.MessagesPerConnection = 1
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: to.Domain, Rates: map[string][]relay.Rate{
				"dials.test": {{Count: 6, Per: time.Minute, Of: relay.Connections}},
				"bytes.test": {{Count: 1000, Per: time.Minute, Of: relay.Bytes}},
			}[to.Domain]}, nil
		}
		r.start(t)
		for i := range 20 {
			r.send(t, "x@a.example", fmt.Sprintf("u%d@dials.test", i))
			r.send(t, "x@a.example", fmt.Sprintf("u%d@bytes.test", i))
		}
		after(time.Minute - time.Second)
		if got := r.transport.Dials("dials.test"); got != 6 {
			t.Errorf("%d connections in a minute, want 6", got)
		}
		bytes := 0
		for _, d := range r.transport.AllDelivered() {
			if d.Site == "bytes.test" {
				bytes += len(d.Content)
			}
		}
		if bytes == 0 || bytes > 1500 {
			t.Errorf("%d bytes in a minute, want about 1000", bytes)
		}
		after(20 * time.Minute)
		r.wantEmpty(t)
	})
}

// What a connection that turned out closed did not try has not used up the rate.
func TestRateOfUntried(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Limits.Routes = map[string][]relay.Rate{"test": perMinute(2)}
		n := 0
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			a := relaytest.OK(tr)
			if n++; n == 2 {
				a = relaytest.Answer(tr, reply(421, "closing"))
				a.Untried = true
			}
			return a
		}
		r.options.Idle = time.Hour
		r.start(t)
		r.send(t, "x@a.example", "one@a.test")
		after(time.Minute)
		r.send(t, "x@a.example", "two@a.test")
		after(time.Second)
		if got := len(r.delivered()); got != 2 {
			t.Errorf("%d delivered, want both: the second was not tried the first time", got)
		}
	})
}

// A restart does not begin a rate anew.
func TestRatesSurviveRestart(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Limits.Routes = map[string][]relay.Rate{"test": {{Count: 20, Per: time.Hour}}}
		r.options.Notes = &relaytest.Notes{}
		r.start(t)
		for i := range 20 {
			r.send(t, "x@a.example", fmt.Sprintf("u%d@a.test", i))
		}
		after(time.Second)
		first := len(r.delivered())
		for range 3 {
			r.stop()
			r.start(t)
			after(time.Second)
		}
		if got := len(r.delivered()); first != 2 || got != first {
			t.Errorf("%d delivered before and %d after three restarts, want 2 and 2", first, got)
		}
		after(2 * time.Hour)
		r.wantEmpty(t)
	})
}

// Rates of a site and of some of its destinations, with alarms that ring late: what is done for a bin that is held up
// comes back to the pool that is at it.
func TestRatesRungLate(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		const step = 100 * time.Millisecond
		r.options.Now = func() time.Time { return time.Now().Add(step - time.Millisecond).Truncate(step) }
		r.options.Connections = 1
		r.options.Limits.Destinations = []relay.DestinationLimit{{Domain: "d1*.test", Rates: perMinute(6)}}
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: "host.test", Rates: []relay.Rate{{Count: 50, Per: time.Second}}}, nil
		}
		r.fill(t)
		r.flood(t, 20, 100)
		r.start(t)
		after(time.Hour)
		r.wantEmpty(t)
	})
}
