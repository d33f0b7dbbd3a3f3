package relay_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// share counts what was delivered by the recipients' local parts without their digits.
func (r *rig) share() map[string]int {
	n := make(map[string]int)
	for _, to := range r.delivered() {
		local, _, _ := strings.Cut(to, "@")
		n[strings.TrimRight(local, "0123456789")]++
	}
	return n
}

// Senders have equal shares of a rate, one with mail for hundreds of sites and one with much for a single site.
func TestSendersShareRate(t *testing.T) {
	for name, limits := range map[string]relay.Limits{
		"route":    {Routes: map[string][]relay.Rate{"test": {{Count: 10, Per: time.Second}}}},
		"provider": {Providers: []relay.ProviderLimit{{Name: "big", MX: []string{"*.test"}, Rates: []relay.Rate{{Count: 10, Per: time.Second}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.transport.SiteOf, r.options.Limits = siteEach, limits
				r.fill(t)
				r.flood(t, 1, 300)
				for i := range 300 {
					r.send(t, "y@other.example", fmt.Sprintf("y%d@one.test", i))
				}
				r.start(t)
				after(20 * time.Second)
				if n := r.share(); n["u"] < 80 || n["y"] < 80 {
					t.Errorf("of 200 in 20 seconds %d of the one and %d of the other", n["u"], n["y"])
				}
				after(time.Minute)
				r.wantEmpty(t)
			})
		})
	}
}

// A destination that two senders have mail for all the time has its share of a rate beside hundreds of others.
func TestBusyDestinationSharesRate(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = siteEach
		r.options.Limits.Routes = map[string][]relay.Rate{"test": {{Count: 10, Per: time.Second}}}
		r.fill(t)
		for i := range 30 {
			for k := range 20 {
				r.send(t, "a@a.example", fmt.Sprintf("u@d%d.test", k))
				r.send(t, "b@b.example", fmt.Sprintf("u@d%d.test", k))
			}
			if i%10 == 0 {
				r.send(t, "a@a.example", "busy@busy.test")
			}
		}
		r.start(t)
		for i := range 60 {
			r.send(t, fmt.Sprintf("x@%c.example", 'a'+i%2), "busy@busy.test")
			after(time.Second)
		}
		if n := r.share()["busy"]; n < 15 {
			t.Errorf("%d of 600 in a minute for a destination that is one of 21", n)
		}
		after(2 * time.Minute)
		r.wantEmpty(t)
	})
}

// A rate is kept up, whatever it is and whatever it holds up, where each message is for another destination and
// connections take a while to open, and no more of these are opened than there is a use for.
func TestRateIsReached(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	for _, c := range []struct {
		of            string
		rate          relay.Rate
		dial, deliver time.Duration
	}{
		{"route", relay.Rate{Count: 10, Per: s}, 0, 0},
		{"route", relay.Rate{Count: 10, Per: s}, 50 * ms, 0},
		{"route", relay.Rate{Count: 10, Per: s}, 300 * ms, s},
		{"route", relay.Rate{Count: 200, Per: s}, 100 * ms, 0},
		{"route", relay.Rate{Count: 60, Per: time.Minute}, 2 * s, 0},
		{"route", relay.Rate{Count: 6, Per: time.Minute}, 2 * s, 0},
		{"route", relay.Rate{Count: 100_000, Per: 10 * time.Minute, Of: relay.Bytes}, 300 * ms, 0},
		{"provider", relay.Rate{Count: 10, Per: s}, 300 * ms, s},
		{"sender", relay.Rate{Count: 10, Per: s}, 300 * ms, s},
		{"sender at one site", relay.Rate{Count: 10, Per: s}, 300 * ms, s},
		{"route to one site", relay.Rate{Count: 10, Per: s}, 300 * ms, s},
		{"one site", relay.Rate{Count: 10, Per: s}, 300 * ms, s},
	} {
		t.Run(fmt.Sprintf("%s, %s, %v and %v", c.of, c.rate, c.dial, c.deliver), func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				rates := []relay.Rate{c.rate}
				r.transport.SiteOf = siteEach
				if strings.HasSuffix(c.of, "one site") {
					r.transport.SiteOf = oneSite
				}
				switch of, _, _ := strings.Cut(c.of, " "); of {
				case "route":
					r.options.Limits.Routes = map[string][]relay.Rate{"test": rates}
				case "sender":
					r.options.Limits.Flows = []relay.FlowLimit{{Name: "*", Rates: rates}}
				default:
					r.options.Limits.Providers = []relay.ProviderLimit{{Name: "p", MX: []string{"*"}, Rates: rates}}
				}
				var dials atomic.Int64
				r.transport.OnDial = func(context.Context, *relay.Site) error {
					dials.Add(1)
					time.Sleep(c.dial)
					return nil
				}
				r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
					time.Sleep(c.deliver)
					return relaytest.OK(tr)
				}
				r.fill(t)
				r.flood(t, 1, 2000)
				r.start(t)
				span := time.Minute
				switch per := c.rate.PerSecond(); {
				case c.rate.Of == relay.Bytes:
				case per < 2:
					span = 10 * time.Minute
				case per > 100:
					span = 8 * s
				}
				after(span)
				want := c.rate.PerSecond() * span.Seconds()
				if span < c.rate.Per {
					want += float64(c.rate.Count) / 10 // at once
				}
				got := float64(len(r.delivered()))
				if c.rate.Of == relay.Bytes {
					got = 0
					for _, d := range r.transport.AllDelivered() {
						got += float64(len(d.Content))
					}
				}
				if got < 0.85*want || got > 1.05*want {
					t.Errorf("%.0f in %v, want %.0f", got, span, want)
				}
				if n, sent := int(dials.Load()), len(r.delivered()); n > sent+sent/2+20 {
					t.Errorf("%d connections for %d messages", n, sent)
				}
			})
		})
	}
}

// A site whose host takes its time to answer has its share of a rate beside one that is quick.
func TestSlowToGreetSharesRate(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = siteEach
		r.options.Limits.Routes = map[string][]relay.Rate{"test": perMinute(6)}
		r.transport.OnDial = func(_ context.Context, s *relay.Site) error {
			if s.Key == "slow.test" {
				time.Sleep(3 * time.Second)
			}
			return nil
		}
		r.fill(t)
		for i := range 60 {
			r.send(t, "x@a.example", fmt.Sprintf("slow%d@slow.test", i))
			r.send(t, "x@a.example", fmt.Sprintf("quick%d@quick.test", i))
		}
		r.start(t)
		after(10 * time.Minute)
		if n := r.share(); n["slow"] < 20 || n["quick"] < 20 {
			t.Errorf("%d for the slow and %d for the quick in ten minutes of six a minute", n["slow"], n["quick"])
		}
	})
}

// Mail for one destination with a rate opens no more connections than it has a use for.
func TestRatedDestinationDials(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: to.Domain, Rates: map[string][]relay.Rate{"a.test": perMinute(6)}[to.Domain]}, nil
		}
		r.fill(t)
		for i := range 50 {
			r.send(t, "x@a.example", fmt.Sprintf("u%d@a.test", i))
		}
		r.start(t)
		after(5 * time.Minute)
		if n, sent := r.transport.Dials("a.test"), len(r.delivered()); n > sent+2 || sent < 28 {
			t.Errorf("%d connections for %d messages", n, sent)
		}
	})
}

// A connection that goes on to ask for more, and must wait for the rate, has the next message when that allows it.
func TestRateWakesBusyConnection(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections, r.options.Idle = 1, time.Hour
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: "host.test", Rates: perMinute(6)}, nil
		}
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(time.Second)
			return relaytest.OK(tr)
		}
		r.start(t)
		r.send(t, "x@a.example", "one@a.test")
		after(500 * time.Millisecond)
		r.send(t, "x@a.example", "two@a.test")
		after(11 * time.Second)
		r.wantEmpty(t)
	})
}

// What a sender's rate holds up does not keep a dead site from being tried with others' mail.
func TestHeldUpAtDeadSite(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var alive atomic.Bool
		r.transport.SiteOf = oneSite
		r.transport.OnDial = func(context.Context, *relay.Site) error {
			if !alive.Load() {
				return errors.New("connection refused")
			}
			return nil
		}
		r.options.Limits.Flows = []relay.FlowLimit{{Name: "slow.example", Rates: []relay.Rate{{Count: 1, Per: 24 * time.Hour}}}}
		alive.Store(true)
		r.start(t)
		r.send(t, "x@slow.example", "first@d2.test")
		after(time.Second)
		alive.Store(false)
		r.send(t, "x@slow.example", "second@d2.test")
		r.send(t, "x@a.example", "u@d1.test")
		after(10 * time.Second)
		r.send(t, "x@a.example", "u@d2.test")
		r.send(t, "x@a.example", "u@d3.test")
		after(10 * time.Minute)
		alive.Store(true)
		after(20 * time.Minute)
		if n := len(r.delivered()); n < 4 {
			t.Errorf("%d delivered, want all but what the rate holds up", n)
		}
	})
}

// A connection is paid for by the destination that it is opened for.
func TestConnectionIsPaidByItsDestination(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.MessagesPerConnection = 1
		r.transport.SiteOf = oneSite
		r.options.Limits.Destinations = []relay.DestinationLimit{{Domain: "a.test", Rates: []relay.Rate{{Count: 2, Per: time.Hour, Of: relay.Connections}}}}
		r.fill(t)
		for i := range 40 {
			r.send(t, fmt.Sprintf("x@s%d.example", i%4), fmt.Sprintf("b%d@b.test", i))
		}
		r.send(t, "x@a.example", "a@a.test")
		r.start(t)
		after(2 * time.Hour)
		r.wantEmpty(t)
	})
}

// Who is let on and has to find its site again first, as that is known for a moment only, keeps its turn.
func TestSiteExpiresBeforeTurn(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: to.Domain, Expires: time.Now().Add(2 * time.Second)}, nil
		}
		r.options.Limits.Flows = []relay.FlowLimit{{Name: "*", Rates: []relay.Rate{{Count: 10, Per: time.Second}}}}
		r.fill(t)
		r.flood(t, 1, 300)
		r.start(t)
		after(40 * time.Second)
		r.wantEmpty(t)
	})
}

// An attempt that hangs does not keep others at the site from going on at the rate.
func TestRateBesideAttemptThatHangs(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) {
			return &relay.Site{Key: "host.test", Rates: []relay.Rate{{Count: 10, Per: time.Second}}}, nil
		}
		var hung atomic.Bool
		r.transport.OnDeliver = func(ctx context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if hung.CompareAndSwap(false, true) {
				select {
				case <-time.After(5 * time.Minute):
				case <-ctx.Done():
				}
			}
			return relaytest.OK(tr)
		}
		r.fill(t)
		for i := range 10 {
			r.send(t, "x@a.example", fmt.Sprintf("u%d@a.test", i))
		}
		r.start(t)
		after(10 * time.Second)
		if got := len(r.delivered()); got != 9 {
			t.Errorf("%d delivered beside one that hangs, want 9", got)
		}
	})
}

// Sites with rates of their own leave those without their shares of the rate that they have in common.
func TestOwnRateIsNoPrivilege(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			site := &relay.Site{Key: to.Domain, Names: []string{to.Domain}}
			if strings.HasPrefix(to.Domain, "own") {
				site.Rates = []relay.Rate{{Count: 5, Per: time.Second}}
			}
			return site, nil
		}
		r.options.Limits.Providers = []relay.ProviderLimit{{Name: "p", MX: []string{"*"}, Rates: []relay.Rate{{Count: 10, Per: time.Second}}}}
		r.fill(t)
		for i := range 100 {
			for k := range 2 {
				r.send(t, "x@a.example", fmt.Sprintf("own%d@own%d.test", i, k))
				r.send(t, "x@a.example", fmt.Sprintf("none%d@none%d.test", i, k))
			}
		}
		r.start(t)
		after(20 * time.Second)
		if n := r.share(); n["none"] < 70 || n["own"] < 70 {
			t.Errorf("of 200 in 20 seconds %d of sites with rates of their own and %d of others", n["own"], n["none"])
		}
	})
}

// Rates that change again and again while mail of many senders waits for them keep up nothing.
func TestReloadWhileManyWait(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = siteEach
		r.transport.OnDial = func(context.Context, *relay.Site) error { time.Sleep(3 * time.Second); return nil }
		limits := func(n int64) relay.Limits {
			return relay.Limits{Flows: []relay.FlowLimit{{Name: "*", Rates: perMinute(n)}}, Routes: map[string][]relay.Rate{"test": perMinute(60)}}
		}
		r.options.Limits = limits(6)
		r.fill(t)
		for i := range 10 {
			for k := range 20 {
				r.send(t, fmt.Sprintf("x@s%d.example", i), fmt.Sprintf("u%d@d%d.test", i, k))
			}
		}
		r.start(t)
		for i := range 60 {
			after(1700 * time.Millisecond)
			r.options.Limits = limits(int64(6 + i%2))
			r.scheduler.Reload(r.terms())
		}
		r.options.Limits = relay.Limits{}
		r.scheduler.Reload(r.terms())
		after(time.Minute)
		r.wantEmpty(t)
	})
}
