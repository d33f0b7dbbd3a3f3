package admin_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"postrider/relay"
)

// Mail that is held is an event for each recipient, and counted by who wants it.
func TestHeldEvent(t *testing.T) {
	t.Parallel()
	s := serve(t, 0)
	lines := json.NewDecoder(s.get(t, "/v1/events?event=held", nil).Body)
	held := relay.Held{
		Delivery: relay.Delivery{To: relay.Destination{Route: "r"}, Recipients: []int{0, 1}, Held: "by ops: look"}, Operator: "ops",
		Message: &relay.Message{Origin: relay.Origin{User: "shop"}, Envelope: relay.Envelope{
			Sender: address("a@b.test"), Recipients: []relay.Recipient{{Address: address("c@d.test")}, {Address: address("e@d.test")}}}},
	}
	s.events.Held(held)
	for _, to := range []string{"c@d.test", "e@d.test"} {
		if e := next(t, lines, "held"); e.From != "a@b.test" || e.To != to || e.Destination != "r" || e.User != "shop" || e.Cause != "by ops: look" {
			t.Errorf("held: %+v", e)
		}
	}
	s.metrics.Held(held)
	held.Operator = ""
	s.metrics.Held(held)
	text, err := io.ReadAll(s.get(t, "/metrics", nil).Body)
	for _, by := range []string{"operator", "configuration"} {
		if want := `postrider_held_total{by="` + by + `"} 2`; err != nil || !strings.Contains(string(text), want) {
			t.Errorf("no %s in the metrics (%v)", want, err)
		}
	}
}
