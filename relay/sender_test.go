package relay

import (
	"fmt"
	"testing"
	"time"
)

// A sender who has one message at a time still owes for it, while others wait.
func TestSendersOwe(t *testing.T) {
	t.Parallel()
	var q senders
	b := newBin(Destination{Route: "mx", Domain: "x.test"}, newLimiter(Limits{}, time.Now))
	greedy, modest := b.flow("greedy"), b.flow("modest")
	for _, f := range []*flow{greedy, modest} {
		f.lane.ready.enter(f.place)
	}
	b.lane(rankNormal).place.index = 0 // it takes part
	q.enter(modest)
	served := map[*flow]int{}
	for range 1000 {
		q.enter(greedy)
		f, cost := q.next(), 1
		if f == greedy {
			cost = 10
		}
		q.charge(f, cost)
		served[f] += cost
		q.leave(greedy)
	}
	if g, m := served[greedy], served[modest]; g > m*3/2 || m > g*3/2 {
		t.Errorf("%d of the greedy sender and %d of the modest one", g, m)
	}
	q.leave(modest)
	if len(q.known) > 0 {
		t.Errorf("%d senders remembered at a site where nobody waits", len(q.known))
	}
}

// Senders without mail are not remembered for ever, also where somebody always waits.
func TestSendersForgotten(t *testing.T) {
	t.Parallel()
	var q senders
	b := newBin(Destination{Route: "mx", Domain: "x.test"}, newLimiter(Limits{}, time.Now))
	b.lane(rankNormal).place.index = 0
	q.enter(b.flow("always"))
	for i := range 10_000 {
		f := b.flow(Flow(fmt.Sprint("sender", i)))
		q.enter(f)
		q.charge(f, 5)
		q.leave(f)
		if n := len(q.known); n > sendersRemembered+2 {
			t.Fatalf("%d senders known", n)
		}
	}
}
