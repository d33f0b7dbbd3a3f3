package admin_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/admin"
)

// All limits of a destination are shown, with what it replied lately; one that nobody knows is an error.
func TestLimits(t *testing.T) {
	t.Parallel()
	s := serve(t, 3)
	ctx := t.Context()
	const name = "internet/two.test"
	l, err := s.client.Limits(ctx, name)
	if err != nil || l.Destination != name || l.AtWork || len(l.Limits) != 0 || l.Learned != nil {
		t.Errorf("at rest: %+v, %v", l, err)
	}
	if _, err := s.client.ChangeDestination(ctx, "pause", name, admin.Change{Author: "anna", Reason: "they asked"}); err != nil {
		t.Fatal(err)
	}
	busy := relay.Reply{Code: 450, Text: "mailbox busy", Class: relay.ClassQuota}
	for range 3 {
		s.events.Attempted(relay.Attempted{
			Delivery: relay.Delivery{To: relay.Destination{Route: "internet", Domain: "two.test"}}, Host: "mx.two.test",
			Outcomes: []relay.Outcome{{Status: relay.Deferred, Reply: busy}, {Status: relay.Delivered, Reply: relay.Reply{Code: 250}}, {Status: relay.Bounced, Reply: relay.Reply{Code: 550, Text: "unknown"}}},
		})
	}
	l, err = s.client.Limits(ctx, name)
	if err != nil || l.Binding != "pause" || len(l.Limits) != 1 || !l.Limits[0].Binds || !strings.Contains(l.Limits[0].Reason, by("anna")+": they asked") {
		t.Errorf("paused: %+v, %v", l, err)
	}
	if len(l.Errors) != 2 || l.Errors[1].Times != 3 || l.Errors[1].Host != "mx.two.test" || l.Errors[1].Class != "quota" || l.Errors[0].Reply != "550 unknown" || time.Since(l.Errors[0].At) > time.Minute {
		t.Errorf("errors %+v", l.Errors)
	}
	if l, err := s.client.Limits(ctx, "internet/nobody.test"); !errors.Is(err, relay.ErrNotFound) {
		t.Errorf("unknown: %+v, %v", l, err)
	}
}

// What is kept of errors does not grow with the number of destinations or of replies.
func TestComplaintsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, 1)
	at := func(i, j int) {
		s.events.Attempted(relay.Attempted{
			Delivery: relay.Delivery{To: relay.Destination{Route: "internet", Domain: fmt.Sprintf("d%d.test", i)}},
			Outcomes: []relay.Outcome{{Status: relay.Deferred, Reply: relay.Reply{Code: 450, Text: fmt.Sprint("no ", j)}}},
		})
	}
	for i := range 3000 {
		at(i, i)
	}
	for j := range 100 {
		s.events.Attempted(relay.Attempted{
			Delivery: relay.Delivery{To: relay.Destination{Route: "internet", Domain: "two.test"}},
			Outcomes: []relay.Outcome{{Status: relay.Deferred, Reply: relay.Reply{Code: 450, Text: strings.Repeat("x", 2000) + fmt.Sprint(j)}}},
		})
	}
	if n := s.events.Complained(); n > 1000 {
		t.Errorf("%d destinations are remembered", n)
	}
	l, err := s.client.Limits(t.Context(), "internet/two.test")
	if err != nil || len(l.Errors) == 0 || len(l.Errors) > 5 || len(l.Errors[0].Reply) > 512 {
		t.Errorf("%d errors, %v", len(l.Errors), err)
	}
}
