package outbound_test

import (
	"testing"

	"postrider/outbound/outboundtest"
)

// That one host lacks SMTPUTF8 says nothing for good while another that has it, or may have it,
// says "later" or is away (T12).
func TestLackIsNotFinalWhileAnotherHostMayTake(t *testing.T) {
	t.Parallel()
	utf8 := outboundtest.Script{Extensions: []string{"PIPELINING", "8BITMIME"}}
	for name, second := range map[string]outboundtest.Script{
		"later": answers("RCPT", "450 4.2.0 grey"),
		"away":  answers("greeting", "421 busy"),
	} {
		t.Run(name, func(t *testing.T) {
			first, second := outboundtest.NewPeer(t, utf8), outboundtest.NewPeer(t, second)
			c := dial(t, smart(t, nil, first, second))
			a := deliver(t, c, transfer("x\r\n", "m\u00fcller@to.test"))
			if !a.Replies[0].Temporary() {
				t.Errorf("reply %s, want a temporary one", a.Replies[0])
			}
		})
	}
	t.Run("after fruitless visits", func(t *testing.T) {
		first := outboundtest.NewPeer(t, outboundtest.Script{Extensions: []string{"PIPELINING"}, On: answers("RCPT TO:<a@", "450 4.2.0 grey").On})
		second := outboundtest.NewPeer(t, answers("RCPT TO:<a@", "450 4.2.0 grey"))
		c := dial(t, smart(t, nil, first, second))
		for range 3 {
			wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "450")
		}
		a := deliver(t, c, transfer("x\r\n", "m\u00fcller@to.test"))
		if !a.Replies[0].Positive() {
			t.Errorf("reply %s, want that of the second host, which takes it", a.Replies[0])
		}
	})
}

// What a second host is not fit for says nothing of recipients whom the first refused for now.
func TestUnfitOtherHostIsNoRefusal(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]outboundtest.Script{
		"SMTPUTF8": {Extensions: []string{"PIPELINING"}},
		"SIZE":     {Extensions: []string{"PIPELINING", "SMTPUTF8", "8BITMIME", "SIZE 10"}},
	} {
		first, second := outboundtest.NewPeer(t, answers("RCPT", "450 4.2.0 grey")), outboundtest.NewPeer(t, second)
		c := dial(t, smart(t, nil, first, second))
		a := deliver(t, c, transfer("x\r\n", "m\u00fcller@to.test"))
		if !a.Replies[0].Temporary() {
			t.Errorf("%s: reply %s, want the first host's 450", name, a.Replies[0])
		}
	}
}
