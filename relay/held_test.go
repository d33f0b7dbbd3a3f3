package relay_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// What a rule holds is told of as it arrives, what an operator holds when he does it, each once; to
// release it tells of nothing.
func TestHeldTold(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.build(t)
		r.policy.Rule = func(stage string, _ *relay.Message, to relay.Recipient) relay.Ruling {
			if stage == "rcpt" && to.Address.Local == "kept" {
				return relay.Ruling{Edits: &relay.Edits{Held: "a rule"}}
			}
			return relay.Ruling{}
		}
		tx := r.receiver.Begin(&relay.Origin{})
		tx.Mail(context.Background(), relay.Envelope{Sender: relay.Address{Local: "a", Domain: "a.test"}}, 0)
		for _, local := range []string{"kept", "b"} {
			if reply := tx.Rcpt(context.Background(), relay.Recipient{Address: relay.Address{Local: local, Domain: "one.test"}}); reply != nil {
				t.Fatal(reply)
			}
		}
		id, reply := tx.Data(context.Background(), strings.NewReader("Subject: x\r\n\r\n"))
		if reply != nil {
			t.Fatal(reply)
		}
		o := r.operator(t, &relaytest.Notes{})
		for _, action := range []relay.Action{relay.ActionHold, relay.ActionHold, relay.ActionRelease} {
			order := relay.Order{Action: action, All: true, Author: "ops", Reason: "look"}
			if _, err := o.Do(context.Background(), order, nil); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, h := range r.observer.AllHeld() {
			if h.Delivery.Message != id || h.Message == nil || len(h.Delivery.Recipients) != 1 {
				t.Fatalf("told of %+v", h)
			}
			to := h.Message.Envelope.Recipients[h.Delivery.Recipients[0]].Address.Local
			got = append(got, to+": "+h.Delivery.Held+", "+h.Operator)
		}
		if want := []string{"kept: a rule, ", "b: by ops: look, ops"}; !slices.Equal(got, want) {
			t.Errorf("told of %q, want %q", got, want)
		}
	})
}
