package relay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// Many senders have much mail in the spool for one host, all of it older than what one more sends. That
// one waits for a few of each of them, not for all that they have.
func TestNewcomerAmongBusySenders(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		const senders, each = 60, 100
		r.options.Connections, r.options.BinMemory = 1, 200*300
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(time.Millisecond)
			return relaytest.OK(tr)
		}
		r.fill(t)
		for i := range each {
			for k := range senders {
				r.send(t, fmt.Sprintf("a@s%d.example", k), fmt.Sprintf("u%d@x.test", i))
			}
		}
		time.Sleep(time.Second)
		r.send(t, "a@late.example", "late@x.test")
		r.start(t)
		after(20 * time.Second)
		late := r.positions("late")
		if len(late) != 1 || late[0] > senders*10 {
			t.Errorf("the newcomer's message was delivered as number %v of %d", late, senders*each+1)
		}
		r.wantEmpty(t)
	})
}

// One sender has mail for many destinations at one host. What another one sends to some of them goes in
// between, be there room for it in memory or not, and be the destinations limited or not.
func TestNewcomerAmongManyDestinations(t *testing.T) {
	tests := map[string]relay.SchedulerOptions{
		"as a rule":            {},
		"without memory":       {Memory: 2000 * 300},
		"limited destinations": {Limits: relay.Limits{Destinations: []relay.DestinationLimit{{Domain: "*", Connections: 1}}}},
	}
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				const domains, each = 400, 10
				r.options.Memory, r.options.Limits = o.Memory, o.Limits
				r.shareHost(5)
				r.fill(t)
				r.flood(t, each, domains)
				r.start(t)
				after(5 * time.Second)
				before := len(r.delivered())
				for k := range 10 {
					r.send(t, "a@late.example", fmt.Sprintf("late@d%d.test", 7*k))
				}
				after(time.Hour)
				late := r.positions("late")
				if len(late) != 10 || late[9] > before+100 || before > domains*each/2 {
					t.Errorf("the newcomer's messages were delivered as numbers %v of %d, after %d", late, domains*each+10, before)
				}
				r.wantEmpty(t)
			})
		})
	}
}

// Many senders have mail for one destination, which may be limited. Somebody's mail for another one at the same
// host does not wait for a message of each.
func TestQuietDestinationAmongManySenders(t *testing.T) {
	tests := map[string][]relay.DestinationLimit{
		"as a rule":           nil,
		"limited destination": {{Domain: "busy.test", Connections: 3}},
	}
	for name, limits := range tests {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				const senders, each = 400, 10
				r.options.Limits.Destinations = limits
				r.shareHost(5)
				r.fill(t)
				for i := range each {
					for k := range senders {
						r.send(t, fmt.Sprintf("a@s%d.example", k), fmt.Sprintf("u%d@busy.test", i))
					}
				}
				r.start(t)
				after(5 * time.Second)
				before := len(r.delivered())
				for k := range 10 {
					r.send(t, fmt.Sprintf("a@s%d.example", k), "late@quiet.test")
				}
				after(time.Hour)
				late := r.positions("late")
				if len(late) != 10 || late[9] > before+100 || before > senders*each/2 {
					t.Errorf("the quiet destination's messages were delivered as numbers %v of %d, after %d", late, senders*each+10, before)
				}
				r.wantEmpty(t)
			})
		})
	}
}

// flood accepts so many messages of one sender for each of d0.test, d1.test and so on.
func (r *rig) flood(t *testing.T, each, domains int) {
	t.Helper()
	for i := range each {
		for k := range domains {
			r.send(t, "a@bulk.example", fmt.Sprintf("u%d@d%d.test", i, k))
		}
	}
}

// shareHost puts all destinations at one host with so many connections, which takes 20 ms for a message.
func (r *rig) shareHost(connections int) {
	r.options.Connections = connections
	r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) { return &relay.Site{Key: "host.test"}, nil }
	r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
		time.Sleep(20 * time.Millisecond)
		return relaytest.OK(tr)
	}
}
