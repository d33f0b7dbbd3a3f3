package relay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

func oneSite(relay.Destination) (*relay.Site, error) {
	return &relay.Site{Key: "host.test", Names: []string{"mx.host.test"}}, nil
}

func siteEach(to relay.Destination) (*relay.Site, error) {
	return &relay.Site{Key: to.Domain, Names: []string{"mx." + to.Domain}}, nil
}

// rated are limits of ten messages a second, by what they hold up.
func rated() map[string]func(*rig) {
	rates := []relay.Rate{{Count: 600, Per: time.Minute}}
	bySender := relay.Limits{Flows: []relay.FlowLimit{{Name: "bulk.example", Rates: rates}}}
	byRoute := relay.Limits{Routes: map[string][]relay.Rate{"test": rates}}
	byProvider := relay.Limits{Providers: []relay.ProviderLimit{{Name: "big", MX: []string{"*.test"}, Rates: rates}}}
	return map[string]func(*rig){
		"sender at one site":    func(r *rig) { r.options.Limits, r.transport.SiteOf = bySender, oneSite },
		"sender at many sites":  func(r *rig) { r.options.Limits, r.transport.SiteOf = bySender, siteEach },
		"route to one site":     func(r *rig) { r.options.Limits, r.transport.SiteOf = byRoute, oneSite },
		"route to many sites":   func(r *rig) { r.options.Limits, r.transport.SiteOf = byRoute, siteEach },
		"provider's many sites": func(r *rig) { r.options.Limits, r.transport.SiteOf = byProvider, siteEach },
	}
}

// Mail of one sender for a thousand destinations that a rate holds up goes at that rate, costs nothing while it waits,
// opens no connections that it cannot use, and does not keep another sender's waiting.
func TestManyWaitForOneRate(t *testing.T) {
	for name, limit := range rated() {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				limit(r)
				var looks, dials atomic.Int64
				r.transport.OnDial = func(context.Context, *relay.Site) error { dials.Add(1); return nil }
				r.options.Now = func() time.Time { looks.Add(1); return time.Now() }
				r.fill(t)
				r.flood(t, 1, 1000)
				r.start(t)
				after(10 * time.Second)
				looks.Store(0)
				before := r.delivered()
				r.send(t, "x@other.example", "other@d990.test")
				after(time.Second)
				if !slices.Contains(r.delivered(), "other@d990.test") {
					t.Error("another sender's mail waits behind it for more than a second")
				}
				after(29 * time.Second)
				got := len(r.delivered()) - len(before)
				if got < 250 || got > 301 {
					t.Errorf("%d delivered in half a minute, want about 270", got)
				}
				if each := looks.Load() / int64(max(got, 1)); each > 100 {
					t.Errorf("the clock was asked %d times for a message: all who wait look at each", each)
				}
				if n, sent := int(dials.Load()), len(r.delivered()); n > 2*sent {
					t.Errorf("%d connections for %d messages", n, sent)
				}
				after(2 * time.Minute)
				r.wantEmpty(t)
			})
		})
	}
}

// Who waits for a rate is let go on when it is lifted.
func TestManyWaitForOneRateThatIsLifted(t *testing.T) {
	for name, limit := range rated() {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				limit(r)
				r.fill(t)
				r.flood(t, 1, 1000)
				r.start(t)
				after(10 * time.Second)
				r.options.Limits = relay.Limits{}
				r.scheduler.Reload(r.terms())
				after(5 * time.Second)
				r.wantEmpty(t)
			})
		})
	}
}

// Those who cannot use what a rate has for them leave it to others: as many dead sites, or sites that never answer, do
// not slow down the mail for the good ones.
func TestDeadLeaveRateToOthers(t *testing.T) {
	for name, dial := range map[string]func(context.Context) error{
		"dead":   func(context.Context) error { return errors.New("connection refused") },
		"silent": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.transport.SiteOf = siteEach
				r.options.Limits.Routes = map[string][]relay.Rate{"test": {{Count: 10, Per: time.Second}}}
				r.transport.OnDial = func(ctx context.Context, s *relay.Site) error {
					if strings.HasPrefix(s.Key, "sick") {
						return dial(ctx)
					}
					return nil
				}
				r.fill(t)
				for i := range 500 {
					r.send(t, "x@a.example", fmt.Sprintf("u@sick%d.test", i))
					r.send(t, "x@a.example", fmt.Sprintf("u@d%d.test", i))
				}
				r.start(t)
				after(75 * time.Second)
				if got := len(r.delivered()); got < 450 {
					t.Errorf("%d delivered in 75 seconds, want nearly all 500", got)
				}
			})
		})
	}
}

// A site that is dead, whose connections are limited, is tried as often as it may be and holds up nobody.
func TestDeadAndRated(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var alive atomic.Bool
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: to.Domain, Rates: map[string][]relay.Rate{
				"a.test": {{Count: 2, Per: time.Hour, Of: relay.Connections}},
			}[to.Domain]}, nil
		}
		r.transport.OnDial = func(_ context.Context, s *relay.Site) error {
			if s.Key == "a.test" && !alive.Load() {
				return errors.New("connection refused")
			}
			return nil
		}
		r.start(t)
		r.send(t, "x@a.example", "u@a.test")
		after(5 * time.Hour)
		r.send(t, "x@a.example", "u@b.test")
		after(time.Minute)
		if !slices.Contains(r.delivered(), "u@b.test") {
			t.Error("mail for another site waits")
		}
		if got := r.transport.Dials("a.test"); got < 8 || got > 11 {
			t.Errorf("%d connections tried in five hours, want two an hour", got)
		}
		alive.Store(true)
		after(time.Hour)
		r.wantEmpty(t)
	})
}

// What is given back to a rate of bytes lets those go on at once who wait for it.
func TestBytesGivenBack(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = siteEach
		r.options.Limits.Flows = []relay.FlowLimit{{Name: "a.example", Rates: []relay.Rate{{Count: 20_000, Per: time.Minute, Of: relay.Bytes}}}}
		r.fill(t)
		r.try("x@a.example", strings.NewReader(content+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 500)), "big@d0.test")
		for i := range 20 {
			r.send(t, "x@a.example", fmt.Sprintf("small%d@d0.test", i))
			r.send(t, "x@a.example", fmt.Sprintf("small@d%d.test", i+1))
		}
		r.start(t)
		after(4 * time.Minute)
		r.wantEmpty(t)
	})
}

// A site with mail of a route that has a rate and of one that has none lets the other's pass.
func TestRateOfOneRouteOfASite(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = oneSite
		r.options.Limits.Routes = map[string][]relay.Rate{"slow": perMinute(6)}
		r.policy.RouteTo = func(_ *relay.Origin, _ *relay.Envelope, rcpt relay.Recipient) (relay.Destination, *relay.Reply) {
			route, _, _ := strings.Cut(rcpt.Address.Domain, ".")
			return relay.Destination{Route: strings.TrimRight(route, "0123456789"), Domain: rcpt.Address.Domain}, nil
		}
		r.fill(t)
		for i := range 30 {
			r.send(t, "x@a.example", fmt.Sprintf("u@slow%d.test", i))
			r.send(t, "x@a.example", fmt.Sprintf("u@fast%d.test", i))
		}
		r.start(t)
		after(time.Minute - time.Second)
		slow, fast := 0, 0
		for _, to := range r.delivered() {
			if strings.HasPrefix(to, "u@slow") {
				slow++
			} else {
				fast++
			}
		}
		if slow != 6 || fast != 30 {
			t.Errorf("%d of the slow route in a minute and %d of the fast, want 6 and 30", slow, fast)
		}
		after(6 * time.Minute)
		r.wantEmpty(t)
	})
}

// Who waits for a rate and is gone leaves the others their places.
func TestGoneFromLine(t *testing.T) {
	rates := []relay.Rate{{Count: 1, Per: time.Hour}}
	for name, limits := range map[string]relay.Limits{
		"route":    {Routes: map[string][]relay.Rate{"test": rates}},
		"provider": {Providers: []relay.ProviderLimit{{Name: "big", MX: []string{"*.test"}, Rates: rates}}},
		"sender":   {Flows: []relay.FlowLimit{{Name: "a.example", Rates: rates}}},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.transport.SiteOf, r.options.Limits = siteEach, limits
				r.start(t)
				o := r.operator(t, &relaytest.Notes{})
				r.send(t, "x@a.example", "first@first.test")
				after(time.Second)
				for i := range 20 {
					r.send(t, "x@a.example", fmt.Sprintf("gone@gone%d.test", i))
				}
				after(time.Second)
				r.send(t, "x@a.example", "last@last.test")
				after(time.Second)
				gone := relay.Order{Action: relay.ActionDelete, Select: relay.Selector{Recipient: "gone@*"}}
				do(t, o, gone, relay.Tally{Seen: 21, Matched: 20, Changed: 20})
				after(time.Hour)
				if !slices.Contains(r.delivered(), "last@last.test") {
					t.Error("it waits for the turns of those that are gone")
				}
				r.wantEmpty(t)
			})
		})
	}
}

// Sites that wait for one rate have equal shares of it, however much mail they have.
func TestSitesShareRate(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = siteEach
		r.options.Limits.Providers = []relay.ProviderLimit{{Name: "big", MX: []string{"*.test"}, Rates: []relay.Rate{{Count: 10, Per: time.Second}}}}
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(100 * time.Millisecond) // those that are done ask for more as there is something again
			return relaytest.OK(tr)
		}
		r.fill(t)
		r.flood(t, 20, 10)
		for i := range 300 {
			r.send(t, "a@bulk.example", fmt.Sprintf("more%d@d0.test", i))
		}
		r.start(t)
		after(15 * time.Second)
		shares := make(map[string]int)
		for _, d := range r.transport.AllDelivered() {
			shares[d.Site]++
		}
		for i := range 10 {
			if n := shares[fmt.Sprintf("d%d.test", i)]; n < 12 || n > 17 {
				t.Errorf("%d for d%d.test in 15 seconds of 10 messages for ten sites", n, i)
			}
		}
		after(time.Minute)
		r.wantEmpty(t)
	})
}

// What a sender's rate holds up goes on when the site of its destination has to be found again.
func TestHeldUpWhileSiteExpires(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: "host.test", Expires: time.Now().Add(5 * time.Second)}, nil
		}
		r.options.Limits.Flows = []relay.FlowLimit{{Name: "slow.example", Rates: perMinute(1)}}
		r.start(t)
		for i := range 4 {
			r.send(t, "x@slow.example", fmt.Sprintf("u%d@a.test", i))
		}
		for range 30 {
			after(6 * time.Second)
			r.send(t, "x@a.example", "u@a.test")
		}
		after(2 * time.Second)
		r.wantEmpty(t)
	})
}
