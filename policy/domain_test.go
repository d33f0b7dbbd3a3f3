package policy_test

import (
	"net/netip"
	"testing"

	"postrider/policy"
	"postrider/relay"
)

// A domain in other clothes is the domain that it will be looked up as.
func TestWideDomains(t *testing.T) {
	t.Parallel()
	p, err := policy.New(policy.Options{
		Hostname: "relay.test", Relay: map[string][]netip.Prefix{"l": {netip.MustParsePrefix("0.0.0.0/0")}},
		Routes: []policy.Route{{Name: "internet", MX: true}},
		Rules:  []policy.Rule{{Name: "no", At: "rcpt", When: `recipient.domain == "example.com"`, Reject: "550 5.7.1 no"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := &relay.Origin{Listener: "l", Client: netip.MustParseAddr("192.0.2.1")}
	for _, domain := range []string{"ｅxample.com", "example。com"} {
		to := relay.Recipient{Address: relay.Address{Local: "u", Domain: domain}}
		if p.Rcpt(t.Context(), &relay.Message{Origin: *o}, to).Reply == nil {
			t.Errorf("%s gets past the rule", domain)
		}
		if dest, reply := p.Route(&relay.Message{Origin: *o}, to); reply != nil || dest.To.Domain != "example.com" {
			t.Errorf("%s goes to %v, %v", domain, dest, reply)
		}
	}
}
