package policy_test

import (
	"fmt"
	"testing"

	"postrider/policy"
	"postrider/relay"
)

// shares counts which way a thousand messages take.
func shares(t *testing.T, ways ...policy.Way) (map[string]int, map[int]string) {
	t.Helper()
	p, err := policy.New(policy.Options{Hostname: "relay.test", Routes: []policy.Route{{Name: "out", MX: true, Ways: ways}}})
	if err != nil {
		t.Fatal(err)
	}
	counts, taken := make(map[string]int), make(map[int]string)
	for i := range 1000 {
		e := &relay.Envelope{Sender: relay.Address{Local: "s", Domain: "from.test"}}
		for k := range 3 {
			r := relay.Recipient{Address: relay.Address{Local: fmt.Sprintf("r%d-%d", i, k), Domain: "to.test"}}
			to, reply := p.Route(&relay.Message{Envelope: *e}, r)
			if reply != nil {
				t.Fatal(reply)
			}
			if k > 0 && to.To.Route != taken[i] || to.To.Domain != "to.test" {
				t.Fatalf("recipient %d goes to %s, the first one's way is %s", k, to.To, taken[i])
			}
			taken[i] = to.To.Route
			e.Recipients = append(e.Recipients, r)
		}
		counts[taken[i]]++
	}
	return counts, taken
}

// A message keeps to one way, each way has its share, and one that comes takes from the others
// no more than its own.
func TestWays(t *testing.T) {
	t.Parallel()
	if counts, _ := shares(t); counts["out"] != 1000 {
		t.Errorf("without ways: %v", counts)
	}
	counts, before := shares(t, policy.Way{Name: "out@a", Weight: 3}, policy.Way{Name: "out@b"})
	if n := counts["out@a"]; n < 700 || n > 800 {
		t.Errorf("shares %v, want three to one", counts)
	}
	counts, after := shares(t, policy.Way{Name: "out@a", Weight: 3}, policy.Way{Name: "out@b"}, policy.Way{Name: "out@c", Weight: 4})
	if n := counts["out@c"]; n < 450 || n > 550 {
		t.Errorf("shares %v, want half for the third", counts)
	}
	for i := range after {
		if after[i] != before[i] && after[i] != "out@c" {
			t.Fatalf("message %d moved from %s to %s", i, before[i], after[i])
		}
	}
}

// Mail that wants no TLS policies heeded takes the twin of its way, where there is one.
func TestTLSOptional(t *testing.T) {
	t.Parallel()
	p, err := policy.New(policy.Options{Hostname: "relay.test", Routes: []policy.Route{
		{Name: "corp", When: `recipient.domain == "corp.test"`},
		{Name: "out", MX: true, TLSOptional: true, Ways: []policy.Way{{Name: "out@192.0.2.1"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		to, want string
		optional bool
	}{{"a@corp.test", "corp", true}, {"a@to.test", "out@192.0.2.1~tls-optional/to.test", true}, {"a@to.test", "out@192.0.2.1/to.test", false}} {
		to, err := relay.ParseAddress(tt.to)
		if err != nil {
			t.Fatal(err)
		}
		got, reply := p.Route(&relay.Message{Envelope: relay.Envelope{TLSOptional: tt.optional}}, relay.Recipient{Address: to})
		if reply != nil || got.To.String() != tt.want {
			t.Errorf("%s, optional %t: %s, want %s (%v)", tt.to, tt.optional, got.To, tt.want, reply)
		}
	}
}
