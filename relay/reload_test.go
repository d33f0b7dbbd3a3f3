package relay_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// terms are what a Reload takes up, as the rig began.
func (r *rig) terms() relay.SchedulerOptions {
	o := r.options
	o.Transport, o.Policy = r.transport, r.policy
	return o
}

// lead makes a policy that leads everything by one route.
func lead(route string) *relaytest.Policy {
	return &relaytest.Policy{Routing: func(*relay.Message, relay.Recipient) (relay.Routing, *relay.Reply) {
		return relay.Routing{To: relay.Destination{Route: route}}, nil
	}}
}

// What waits behind a dead host leaves by the new route at once, and its gate need not open for it.
func TestReloadMovesWhatIsQueued(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		const messages = 500
		r.transport.OnDial = func(_ context.Context, site *relay.Site) error {
			if site.Key == "old" {
				dead := reply(451, "dead")
				return &dead
			}
			return nil
		}
		r.policy = lead("old")
		r.start(t)
		for i := range messages {
			r.send(t, "a@example.com", fmt.Sprintf("user%d@example.net", i))
		}
		held := r.hold(t)
		time.Sleep(10 * time.Minute)
		dials := r.transport.Dials("old")
		began := time.Now()

		o := r.terms()
		o.Policy = lead("new")
		r.receiver.Reload(relay.ReceiverOptions{Policy: o.Policy})
		r.scheduler.Reload(o)
		got, err := r.scheduler.Reroute(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(r.transport.AllDelivered()); n != messages || r.sites() != "new" {
			t.Errorf("delivered %d to %q, want %d to new", n, r.sites(), messages)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %s", took)
		}
		if got.Seen != messages+1 || got.Moved == 0 || got.Moved > messages || got.Busy != 0 || got.Ended.IsZero() {
			t.Errorf("rerouted %+v, want %d seen", got, messages+1)
		}
		if n := r.transport.Dials("old") - dials; n > 1 {
			t.Errorf("%d more connections to the old host", n)
		}
		if d := r.left(t, held); len(d) != 1 || d[0].Held == "" {
			t.Errorf("what was held: %+v", d)
		}
	})
}

// hold sends a message that a rule holds.
func (r *rig) hold(t *testing.T) relay.ID {
	t.Helper()
	r.policy.Rule = func(stage string, _ *relay.Message, _ relay.Recipient) relay.Ruling {
		if stage == "data" {
			return relay.Ruling{Edits: &relay.Edits{Held: "to be looked at"}}
		}
		return relay.Ruling{}
	}
	defer func() { r.policy.Rule = nil }()
	return r.send(t, "a@example.com", "held@example.net")
}

func (r *rig) left(t *testing.T, id relay.ID) []relay.Delivery {
	t.Helper()
	ds, err := r.spool.Deliveries(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// A message that began before a Reload is taken in on the terms of then, and goes where the new
// ones lead it.
func TestReloadWithinATransaction(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.policy = lead("old")
		r.transport.OnDial = func(_ context.Context, site *relay.Site) error {
			if site.Key == "old" {
				dead := reply(451, "dead")
				return &dead
			}
			return nil
		}
		r.start(t)
		r.send(t, "a@example.com", "first@example.net") // closes the gate
		time.Sleep(time.Minute)

		from := origin
		tx := r.receiver.Begin(&from)
		if reply := tx.Mail(t.Context(), relay.Envelope{Sender: address("a@example.com")}, 0); reply != nil {
			t.Fatal(reply)
		}
		refusing := lead("new")
		refusing.OnRcpt = func(*relay.Origin, *relay.Envelope, relay.Recipient) *relay.Reply {
			return relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, "no")
		}
		o := r.terms()
		o.Policy = refusing
		r.receiver.Reload(relay.ReceiverOptions{Policy: refusing})
		r.scheduler.Reload(o)
		if _, err := r.scheduler.Reroute(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if reply := tx.Rcpt(t.Context(), relay.Recipient{Address: address("b@example.net")}); reply != nil {
			t.Fatalf("the message was begun under rules that allow it: %v", reply)
		}
		if _, reply := tx.Data(t.Context(), strings.NewReader(content)); reply != nil {
			t.Fatal(reply)
		}
		synctest.Wait()
		if n := len(r.transport.AllDelivered()); n != 2 || r.sites() != "new" {
			t.Errorf("delivered %d to %q, want 2 to new", n, r.sites())
		}
		if reply := tx.Mail(t.Context(), relay.Envelope{Sender: address("a@example.com")}, 0); reply != nil {
			t.Fatal(reply)
		}
		if reply := tx.Rcpt(t.Context(), relay.Recipient{Address: address("b@example.net")}); reply == nil {
			t.Error("the next message was not held to the new rules")
		}
	})
}

// Rates keep what they have counted, and those that are new count from now.
func TestReloadKeepsRates(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		hourly := relay.Rate{Count: 10, Per: time.Hour, Of: relay.Messages}
		limits := func(rates ...relay.Rate) relay.Limits {
			return relay.Limits{Routes: map[string][]relay.Rate{"test": rates}}
		}
		r.policy = lead("test")
		r.options.Limits = limits(hourly)
		r.start(t)
		for i := range 30 {
			r.send(t, "a@example.com", fmt.Sprintf("user%d@example.net", i))
		}
		synctest.Wait()
		before := len(r.transport.AllDelivered())
		o := r.terms()
		for range 20 {
			r.scheduler.Reload(o)
			synctest.Wait()
		}
		if n := len(r.transport.AllDelivered()); n != before || n > 10 {
			t.Errorf("%d messages went out in the first hour's first moment, %d before the reloads", n, before)
		}
		o.Limits = limits()
		r.scheduler.Reload(o)
		synctest.Wait()
		if n := len(r.transport.AllDelivered()); n != 30 {
			t.Errorf("%d messages went out without a limit, want 30", n)
		}
	})
}

// Connections that serve the same site as before are kept, and what needs another one gets it.
func TestReloadKeepsConnections(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.policy = lead("test")
		key := "first"
		r.transport.SiteOf = func(relay.Destination) (*relay.Site, error) { return &relay.Site{Key: key}, nil }
		r.start(t)
		send := func() {
			r.send(t, "a@example.com", "b@example.net")
			synctest.Wait()
		}
		send()
		r.scheduler.Reload(r.terms())
		send()
		if n := r.transport.Dials("first"); n != 1 {
			t.Errorf("%d connections, want the one of before the reload", n)
		}
		key = "second"
		send()
		if n := r.transport.Dials("second"); n != 0 {
			t.Errorf("%d connections to the second site before it is looked for", n)
		}
		r.scheduler.Reload(r.terms())
		send()
		if n := r.transport.Dials("second"); n != 1 {
			t.Errorf("%d connections to the second site, want 1", n)
		}
	})
}

// Messages are sent while everything is reloaded again and again: each arrives once.
func TestReloadUnderLoad(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		const messages, reloads = 1000, 100
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(20 * time.Millisecond)
			return relaytest.OK(tr)
		}
		r.policy = lead("route0")
		r.start(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range messages {
				r.send(t, "a@example.com", fmt.Sprintf("user%d@example.net", i))
				time.Sleep(time.Millisecond)
			}
		}()
		for i := range reloads {
			time.Sleep(10 * time.Millisecond)
			o := r.terms()
			o.Policy = lead(fmt.Sprintf("route%d", i%3))
			o.Limits.Flows = []relay.FlowLimit{{Name: "*", Weight: float64(i%2 + 1)}}
			o.Connections = 1 + i%7
			r.receiver.Reload(relay.ReceiverOptions{Policy: o.Policy})
			r.scheduler.Reload(o)
			if _, err := r.scheduler.Reroute(t.Context(), nil); err != nil {
				t.Error(err)
			}
		}
		<-done
		time.Sleep(time.Minute)
		seen := make(map[string]int)
		for _, d := range r.transport.AllDelivered() {
			seen[d.Recipient.String()]++
		}
		twice := 0
		for _, n := range seen {
			if n != 1 {
				twice++
			}
		}
		if len(seen) != messages || twice > 0 {
			t.Errorf("%d of %d arrived, %d of them more than once", len(seen), messages, twice)
		}
	})
}
