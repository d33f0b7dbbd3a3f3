package relay_test

import (
	"context"
	"testing"

	"postrider/relay"
)

// suppressions refuse one address.
type suppressions string

func (s suppressions) Suppressed(_ *relay.Message, to relay.Address) *relay.Reply {
	if to.String() != string(s) {
		return nil
	}
	return relay.NewReply(550, relay.EnhancedCode{5, 1, 1}, "suppressed").For(relay.ReasonSuppressed)
}

// A recipient who is suppressed is refused, as the rules leave it, once the policy has let the mail
// through; what is thrown away is sent to nobody.
func TestSuppressions(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.start(t)
		r.policy.Rule = func(_ string, _ *relay.Message, to relay.Recipient) relay.Ruling {
			switch {
			case to.Address.Local == "alias":
				return relay.Ruling{Edits: &relay.Edits{Recipients: []relay.Recipient{{Address: relay.Address{Local: "gone", Domain: "one.test"}}}}}
			case to.Address.Local == "gone" && to.Address.Domain == "staging.test":
				return relay.Ruling{Edits: &relay.Edits{Discard: true}}
			}
			return relay.Ruling{}
		}
		receiver, err := relay.NewReceiver(relay.ReceiverOptions{
			Hostname: "relay.test", Spool: r.spool, Policy: r.policy, Observer: r.observer, IDs: r.ids, Now: r.now(),
			Suppressions: suppressions("gone@one.test"),
		})
		if err != nil {
			t.Fatal(err)
		}
		tx := receiver.Begin(&relay.Origin{})
		if reply := tx.Mail(context.Background(), relay.Envelope{Sender: relay.Address{Local: "a", Domain: "a.test"}}, 0); reply != nil {
			t.Fatal(reply)
		}
		for to, want := range map[string]string{
			"here@one.test": "", "gone@one.test": "550 5.1.1 suppressed", "alias@one.test": "550 5.1.1 suppressed", "gone@staging.test": "",
		} {
			a, err := relay.ParseAddress(to)
			if err != nil {
				t.Fatal(err)
			}
			if got := replyText(tx.Rcpt(context.Background(), relay.Recipient{Address: a})); got != want {
				t.Errorf("%s: %q, want %q", to, got, want)
			}
		}
		for _, e := range r.observer.AllRefused() {
			if e.Reason != relay.ReasonSuppressed || e.Stage != "rcpt" {
				t.Errorf("refused %+v", e)
			}
		}
	})
}
