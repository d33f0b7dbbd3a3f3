package outbound_test

import (
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
