package inbound

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"postrider/inbound/auth"
)

// gauge is a small set of meters with a clock of its own.
type gauge struct {
	*meters
	t     *testing.T
	clock time.Time
}

func newGauge(t *testing.T) *gauge {
	g := &gauge{t: t, clock: time.Unix(1000, 0)}
	g.meters = newMeters(func() time.Time { return g.clock }, 200)
	return g
}

// once makes a claim of a sender with one account, and looks at the bound.
func (g *gauge) once(name string, a account, n int) bool {
	g.t.Helper()
	ok := g.take([]claim{{meter: meter{what: "messages of sender", name: name}, rate: auth.Rate{N: n, Per: time.Hour}, account: a}}) == nil
	total := 0
	for _, l := range g.accounts {
		total += len(l.readings)
	}
	if len(g.all) > g.most || total != len(g.all) || len(g.largest) != len(g.accounts) {
		g.t.Fatalf("%d meters of %d, %d in ledgers, %d accounts and %d ledgers", len(g.all), g.most, total, len(g.accounts), len(g.largest))
	}
	return ok
}

// TestMetersBound: there are never more than so many, and names that somebody makes up reset
// nobody who is over a rate: neither somebody else, nor the one sender of his own.
func TestMetersBound(t *testing.T) {
	t.Parallel()
	g := newGauge(t)
	bob, mallory := account{user: "bob"}, account{user: "mallory"}
	for range 11 {
		g.once("bob", bob, 10)
		g.once("mallory", mallory, 10)
	}
	g.once("bob, once an hour", bob, 1)
	for i := range 100 * g.most {
		g.once(fmt.Sprint(i), mallory, 10)
		if i%g.most == 0 {
			g.clock = g.clock.Add(time.Second)
		}
	}
	if g.once("bob", bob, 10) || g.once("bob, once an hour", bob, 1) {
		t.Error("made-up senders reset somebody else's")
	}
	if g.once("mallory", mallory, 10) {
		t.Error("made-up senders reset the one that is over its rate")
	}
}

// TestMetersAccounts: who has few meters is safe from many who have as few, as long as these
// are no more than are remembered, and from one who has many whatever he does.
func TestMetersAccounts(t *testing.T) {
	t.Parallel()
	g := newGauge(t)
	bob := account{user: "bob"}
	g.once("bob", bob, 1)
	for i := range g.most - 2 {
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(i >> 8), byte(i), 0}), 24)
		g.once(fmt.Sprint("of network ", i), account{network: network}, 1)
	}
	for i := range 10 * g.most {
		g.once(fmt.Sprint(i), account{user: "mallory"}, 1)
	}
	if g.once("bob", bob, 1) {
		t.Error("bob was reset")
	}
}

// TestMetersForget: what has run empty is not kept for long.
func TestMetersForget(t *testing.T) {
	t.Parallel()
	g := newGauge(t)
	bob := account{user: "bob"}
	for i := range g.most / 2 {
		g.once(fmt.Sprint(i), bob, 10)
	}
	g.clock = g.clock.Add(time.Hour)
	for i := range g.most / 2 {
		g.once(fmt.Sprint("later ", i), bob, 10)
	}
	if got := len(g.all); got > g.most/2 {
		t.Errorf("%d meters, want no more than %d", got, g.most/2)
	}
}
