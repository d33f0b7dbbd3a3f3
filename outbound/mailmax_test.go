package outbound_test

import (
	"slices"
	"strings"
	"testing"

	"postrider/outbound/outboundtest"
)

// LIMITS MAILMAX holds within one Deliver too.
func TestMailMaxWithinDeliver(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: []string{"PIPELINING", "LIMITS MAILMAX=1 RCPTMAX=1"}})
	a := deliver(t, dial(t, smart(t, nil, p)), transfer("x\r\n", "a@to.test", "b@to.test"))
	if n := len(p.Messages()); n != 1 || !a.Replies[0].Positive() || !a.Replies[1].Temporary() {
		t.Errorf("%d transactions, replies %v; want one, and the other recipient later", n, a.Replies)
	}
}

// LIMITS RCPTDOMAINMAX: recipients of one domain go together (RFC 9422 section 4.3).
func TestRcptDomainMax(t *testing.T) {
	t.Parallel()
	for limit, want := range map[string][]string{
		"RCPTDOMAINMAX=1":           {"a@one.test c@one.test", "b@two.test d@two.test", "e@xyz.test"},
		"RCPTDOMAINMAX=2":           {"a@one.test c@one.test b@two.test d@two.test", "e@xyz.test"},
		"RCPTDOMAINMAX=2 RCPTMAX=3": {"a@one.test c@one.test b@two.test", "d@two.test e@xyz.test"},
	} {
		for _, extra := range []string{"SIZE", "CHUNKING"} {
			p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: []string{"PIPELINING", extra, "LIMITS " + limit}})
			c := dial(t, smart(t, nil, p))
			list := letters(2, "a@one.test", "b@two.test", "c@one.test", "d@two.test", "e@xyz.test")
			for _, got := range stream(t, c, list...) {
				if got != "250,250,250,250,250" {
					t.Errorf("%s: %s", limit, got)
				}
			}
			var got []string
			for _, m := range p.Messages() {
				got = append(got, strings.Join(m.To, " "))
			}
			if twice := append(slices.Clone(want), want...); !slices.Equal(got, twice) {
				t.Errorf("%s, %s: transactions for %q, want %q", limit, extra, got, twice)
			}
		}
	}
}
