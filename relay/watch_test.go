package relay_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// hang waits as a transport does that knows no deadline; deaf says that nobody can end it either.
func hang(ctx context.Context, deaf bool, end <-chan struct{}) {
	done := ctx.Done()
	if deaf {
		done = nil
	}
	select {
	case <-done:
	case <-end:
	}
}

// faultsOf are the faults whose text has the word.
func (r *rig) faultsOf(word string) (n int) {
	for _, f := range r.observer.AllFaults() {
		if strings.Contains(f.Doing+": "+f.Err.Error(), word) {
			n++
		}
	}
	return n
}

// figure is the value of a metric.
func (r *rig) figure(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	for _, f := range r.scheduler.Figures() {
		if f.Name == name && (len(labels) == 0 || slices.Contains(f.Labels, labels[0])) {
			return f.Value
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// A connection that hangs past every deadline is reported and ended; one that cannot be ended gives its
// place to others. What it carries is given to nobody else while it may still be delivered.
func TestStuckConnection(t *testing.T) {
	for _, c := range []struct {
		phase string
		deaf  bool
		// faults is how often it is reported.
		faults int
	}{{"opening", false, 1}, {"opening", true, 2}, {"carrying", false, 1}, {"carrying", true, 2}} {
		t.Run(fmt.Sprintf("%s deaf=%v", c.phase, c.deaf), func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.options.Connections, r.options.ConnectionsTotal = 1, 1
				r.options.Stuck = 20 * time.Minute
				end := make(chan struct{})
				hung := false
				r.transport.OnDial = func(ctx context.Context, _ *relay.Site) error {
					if c.phase == "opening" && !hung {
						hung = true
						hang(ctx, c.deaf, end)
						return &relay.Reply{Code: 421, Text: "timed out"}
					}
					return nil
				}
				tries := make(map[string]int)
				r.transport.OnDeliver = func(ctx context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
					tries[tr.Recipients[0].Address.String()]++
					if c.phase == "carrying" && !hung {
						hung = true
						hang(ctx, c.deaf, end)
						if ctx.Err() != nil && !c.deaf {
							return relaytest.Answer(tr, reply(451, "timed out"))
						}
					}
					return relaytest.OK(tr)
				}
				r.start(t)
				r.send(t, "a@example.com", "first@x.test")
				after(time.Minute)
				all := r.scheduler.ConnectionsOf(relay.Destination{Route: "test", Domain: "x.test"})
				if len(all) != 1 || all[0].Phase.String() != c.phase {
					t.Errorf("connections %+v, want one that is %s", all, c.phase)
				}
				if age := r.figure(t, "outbound_phase_longest_seconds", c.phase); age != 60 {
					t.Errorf("metrics: %s for %v seconds, want 60", c.phase, age)
				}
				r.send(t, "a@example.com", "second@x.test")
				after(48 * time.Minute)
				lost := 0.0
				if c.deaf {
					lost = 1
				}
				if got := r.figure(t, "outbound_connections_lost"); got != lost {
					t.Errorf("metrics: %v connections lost, want %v", got, lost)
				}
				if got, at := r.figure(t, "watch_found_total"), r.figure(t, "watch_found_timestamp_seconds"); got != float64(c.faults) || at == 0 {
					t.Errorf("metrics: found %v at %v, want %d", got, at, c.faults)
				}
				if got := r.faultsOf(c.phase); got != c.faults {
					t.Errorf("%d reports of a connection that is %s, want %d: %v", got, c.phase, c.faults, r.observer.AllFaults())
				}
				if tries["second@x.test"] != 1 {
					t.Errorf("the second message was tried %d times, want 1", tries["second@x.test"])
				}
				if c.deaf && c.phase == "carrying" && tries["first@x.test"] != 1 {
					t.Errorf("what a connection still carries was tried %d times", tries["first@x.test"])
				}
				close(end)
				after(time.Hour)
				if got := len(r.delivered()); got != 2 {
					t.Errorf("%d recipients delivered, want 2", got)
				}
				if left := r.queued(t); len(left) > 0 {
					t.Errorf("%d deliveries left", len(left))
				}
				if got := len(r.observer.AllFaults()); got != c.faults {
					t.Errorf("faults %v", r.observer.AllFaults())
				}
			})
		})
	}
}

// A look-up that does not end is reported, again and again, and shown; others go on.
func TestStuckLookUp(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		end := make(chan struct{})
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			if to.Domain == "x.test" {
				<-end
			}
			return &relay.Site{Key: to.Domain}, nil
		}
		r.start(t)
		r.send(t, "a@example.com", "u@x.test")
		r.send(t, "a@example.com", "u@y.test")
		after(150 * time.Minute)
		st, _ := r.scheduler.StatusOf(relay.Destination{Route: "test", Domain: "x.test"})
		if st.Doing != relay.DoingLookUp || r.faultsOf("look-up") != 2 || len(r.delivered()) != 1 {
			t.Errorf("%s, %d reports, %d delivered, want looking up, 2 and 1", st.Doing, r.faultsOf("look-up"), len(r.delivered()))
		}
		close(end)
		after(time.Second)
		if got := len(r.delivered()); got != 2 {
			t.Errorf("%d delivered, want 2", got)
		}
	})
}

// What goes on with a destination is shown in a word.
func TestDoing(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.transport.SiteOf = func(to relay.Destination) (*relay.Site, error) {
			if to.Domain == "lost.test" {
				return nil, &relay.Reply{Code: 451, Text: "no DNS"}
			}
			return &relay.Site{Key: to.Domain}, nil
		}
		r.transport.OnDial = func(_ context.Context, site *relay.Site) error {
			if site.Key == "dead.test" {
				return &relay.Reply{Code: 421, Text: "refused"}
			}
			return nil
		}
		r.transport.OnDeliver = func(ctx context.Context, site *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if site.Key == "slow.test" {
				time.Sleep(time.Minute)
			}
			if site.Key == "later.test" {
				return relaytest.Answer(tr, reply(451, "later"))
			}
			return relaytest.OK(tr)
		}
		r.options.Limits.Destinations = []relay.DestinationLimit{{Domain: "few.test", Rates: perMinute(1)}}
		r.start(t)
		began := time.Now()
		for _, name := range []string{"lost", "dead", "slow", "later", "few", "few"} {
			r.send(t, "a@example.com", "u@"+name+".test")
		}
		after(5 * time.Second)
		for domain, want := range map[string]relay.Doing{
			"lost.test": relay.DoingNotFound, "dead.test": relay.DoingCutOff, "slow.test": relay.DoingDelivering,
			"later.test": relay.DoingWaiting, "few.test": relay.DoingLimited,
		} {
			st, _ := r.scheduler.StatusOf(relay.Destination{Route: "test", Domain: domain})
			if st.Doing != want {
				t.Errorf("%s is %q, want %q", domain, st.Doing, want)
			}
			if st.Moved.Before(began) && domain != "lost.test" && domain != "dead.test" {
				t.Errorf("%s moved at %v", domain, st.Moved)
			}
		}
		after(10 * time.Minute)
	})
}
