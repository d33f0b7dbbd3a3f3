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
	b := newBin(Destination{Route: "mx", Domain: "x.test"}, newLimiter(Limits{}, time.Now), new(usage))
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
	if len(q.known)+len(q.owing) > 0 {
		t.Errorf("%d senders remembered at a site where nobody waits", len(q.known)+len(q.owing))
	}
}

// Senders of one message at a time, more of them than are remembered, leave turns to one who always has mail.
func TestSendersForgotten(t *testing.T) {
	t.Parallel()
	for _, n := range []int{sendersRemembered - 1, 2 * sendersRemembered, 10_000} {
		var q senders
		b := newBin(Destination{Route: "mx", Domain: "x.test"}, newLimiter(Limits{}, time.Now), new(usage))
		b.lane(rankNormal).place.index = 0
		bulk := b.flow("bulk")
		q.enter(bulk)
		served := 0
		const turns = 20_000
		for i := range turns {
			q.enter(b.flow(Flow(fmt.Sprint("sender", i%n))))
			f := q.next()
			q.charge(f, 1)
			if f == bulk {
				served++
				continue
			}
			q.leave(f)
			if known := len(q.known) + len(q.owing); known > sendersRemembered+served+2 {
				t.Fatalf("%d senders known", known)
			}
		}
		if served < turns/sendersRemembered/2 {
			t.Errorf("beside %d who have one message at a time, one who always has mail had %d of %d turns", n, served, turns)
		}
	}
}

// A flow that is served by its sender's turn is not forgotten by its destination.
func TestServedBySenderOwesInLane(t *testing.T) {
	t.Parallel()
	b := newBin(Destination{Route: "mx", Domain: "x.test"}, newLimiter(Limits{}, time.Now), new(usage))
	p := newPool(&Site{Key: "host.test"}, 1)
	p.join(b, p.site)
	var served []*flow
	for i := range 100 {
		name := Flow(fmt.Sprint("sender", i%10))
		b.push(b.flow(name), Delivery{Recipients: []int{0}, Flow: name})
		p.enter(b)
		f, _ := p.pick(time.Now(), true)
		b.serve(f)
		if served = append(served, f); i >= 10 && f != served[i-10] {
			t.Fatalf("flow %s was forgotten and made again", name)
		}
	}
}

// A sender whose rate is lifted by a Reload has turns again at once.
func TestSenderGoesOnAfterReload(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return noon }
	b := newBin(Destination{Route: "mx", Domain: "x.test"}, newLimiter(Limits{Flows: []FlowLimit{{Name: "slow", Rates: []Rate{{Count: 1, Per: 24 * time.Hour}}}}}, now), new(usage))
	p := newPool(&Site{Key: "host.test"}, 1)
	p.join(b, p.site)
	f := b.flow("slow")
	f.meters.take(amount{Messages: 1, Recipients: 1}, noon)
	b.push(f, Delivery{Recipients: []int{0}, Flow: "slow"})
	p.enter(b)
	if got, _ := p.pick(noon, true); got != nil {
		t.Fatalf("%s has a turn, beyond its rate", got.name)
	}
	b.reload(newLimiter(Limits{}, now), noon)
	p.turns.reload()
	p.enter(b)
	b.site.Expires = time.Time{}
	if got, _ := p.pick(noon, true); got != f {
		t.Error("it has no turn, though its rate has been lifted")
	}
}

// What a sender's rate holds up at one site has its turn at the next that its destination moves to.
func TestHeldUpFlowMovesWithBin(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return noon }
	b := newBin(Destination{Route: "mx", Domain: "x.test"}, newLimiter(Limits{Flows: []FlowLimit{{Name: "slow", Rates: []Rate{{Count: 1, Per: time.Hour}}}}}, now), new(usage))
	old, next := newPool(&Site{Key: "old.test"}, 1), newPool(&Site{Key: "next.test"}, 1)
	old.join(b, old.site)
	f := b.flow("slow")
	f.meters.take(amount{Messages: 1, Recipients: 1}, noon)
	b.push(f, Delivery{Recipients: []int{0}, Flow: "slow"})
	old.enter(b)
	if got, _ := old.pick(noon, true); got != nil || !f.held || !f.sender.wait.in() {
		t.Fatal("the rate does not hold it up")
	}
	s := f.sender
	old.part(b)
	if f.held || s.wait.in() {
		t.Error("it is held up at a site that its destination has left")
	}
	next.join(b, next.site)
	next.enter(b)
	if got, _ := next.pick(noon.Add(time.Hour), true); got != f {
		t.Error("it has no turn at the next site")
	}
}

// Senders of one message for many recipients are forgotten without those who come after them having to wait.
func TestForgottenDebtIsNobodys(t *testing.T) {
	t.Parallel()
	var q senders
	b := newBin(Destination{Route: "mx", Domain: "x.test"}, newLimiter(Limits{}, time.Now), new(usage))
	b.lane(rankNormal).place.index = 0
	bulk := b.flow("bulk")
	q.enter(bulk)
	const lists = sendersRemembered + 1
	for i := range lists {
		q.enter(b.flow(Flow(fmt.Sprint("list", i))))
	}
	for left := lists; left > 0; {
		f := q.next()
		if f == bulk {
			q.charge(f, 1)
			continue
		}
		q.charge(f, 1000)
		q.leave(f)
		left--
	}
	late := b.flow("late")
	q.enter(late)
	for range 3 {
		f := q.next()
		if f == late {
			return
		}
		q.charge(f, 1)
	}
	t.Error("a newcomer waits for what others owed")
}
