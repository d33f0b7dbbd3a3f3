package relay

import (
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestRetryWait(t *testing.T) {
	t.Parallel()
	r := Retry{First: time.Minute, Factor: 2, Max: 4 * time.Hour, Classes: DefaultClassBackoffs()}
	for _, tt := range []struct {
		class    Class
		attempts int
		chance   float64
		want     time.Duration
	}{
		{0, 1, 0, 6 * time.Second}, {0, 1, 1, time.Minute}, {0, 2, 1, 2 * time.Minute}, {0, 3, 1, 4 * time.Minute},
		{0, 9, 1, 4 * time.Hour}, {0, 1000, 1, 4 * time.Hour}, {0, 1000, 0, 6 * time.Second}, {0, 0, 1, time.Minute},
		{ClassHost, 3, 1, 4 * time.Minute},
		{ClassGreylisting, 1, 0, 5 * time.Minute}, {ClassGreylisting, 1, 1, 15 * time.Minute}, {ClassGreylisting, 50, 1, time.Hour},
		{ClassQuota, 1, 1, time.Hour}, {ClassRate, 1, 0, time.Minute}, {ClassRate, 50, 1, 2 * time.Hour},
	} {
		if got := r.wait(tt.class, tt.attempts, tt.chance); got != tt.want {
			t.Errorf("wait(%s, %d, %v) = %v, want %v", tt.class, tt.attempts, tt.chance, got, tt.want)
		}
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	var g gate
	if !g.open() || !g.probe(noon) {
		t.Fatal("a new gate is closed")
	}
	reply := Reply{Code: 451, Text: "refused"}
	if !g.fail(noon, noon.Add(time.Second), true, 1, reply) {
		t.Error("the first failure does not close the gate")
	}
	if g.fail(noon, noon.Add(time.Second), true, 1, reply); g.failures != 1 {
		t.Errorf("failures of one event counted %d times", g.failures)
	}
	if g.open() || g.probe(noon.Add(1500*time.Millisecond)) || !g.probe(noon.Add(2*time.Second)) {
		t.Errorf("closed until %v, want a second after the failure", g.until)
	}
	for range 20 {
		g.fail(g.until, g.until, true, 1, reply)
	}
	if wait := g.until.Sub(g.failed); wait != smartProbeMax {
		t.Errorf("a smart host is left alone for %v, want %v", wait, smartProbeMax)
	}
	if !g.pass() || g.pass() || !g.open() {
		t.Error("pass does not open the gate once")
	}
	if g.fail(noon, noon, false, 1, reply); g.until.Sub(noon) != probeFirst {
		t.Errorf("the first probe of a stranger is after %v, want %v", g.until.Sub(noon), probeFirst)
	}
	g.pass()
	reply.Class = ClassAuth
	if g.fail(noon, noon, true, 1, reply); g.until.Sub(noon) != probeFirst {
		t.Errorf("the first probe after bad credentials is after %v, want %v", g.until.Sub(noon), probeFirst)
	}
}

// The wait for a probe is any up to a bound (full jitter), and the bound grows with the failures, but not
// beyond the time for which all has failed: failures in a row within a second are no long absence.
func TestGateWaits(t *testing.T) {
	t.Parallel()
	down := Reply{Code: 451, Text: "refused"}
	tests := map[string]struct {
		failures int
		// every is the time from one failure to the next.
		every  time.Duration
		chance float64
		want   time.Duration
	}{
		"first, the least":          {1, 0, 0, probeFirst / 10},
		"first, the most":           {1, 0, 1, probeFirst},
		"fifth, the least":          {5, time.Hour, 0, probeFirst / 10},
		"fifth, in the middle":      {5, time.Hour, 0.5, probeFirst/20 + 8*probeFirst},
		"fifth, the most":           {5, time.Hour, 1, 16 * probeFirst},
		"tenth":                     {10, time.Hour, 1, probeMax},
		"a hundred within a second": {100, 10 * time.Millisecond, 1, probeFirst},
		"seventh after a minute":    {7, 10 * time.Second, 1, time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var g gate
			for i := range tt.failures {
				at := noon.Add(time.Duration(i) * tt.every)
				g.fail(at, at, false, tt.chance, down)
			}
			if got := g.until.Sub(g.failed); got != tt.want {
				t.Errorf("waits %v, want %v", got, tt.want)
			}
			next := g.failed.Add(tt.every)
			g.try() // it answers the phone, and hangs up
			g.fail(next, next, false, tt.chance, down)
			if got := g.until.Sub(g.failed); got < tt.want {
				t.Errorf("after one more failure waits %v, less than %v", got, tt.want)
			}
		})
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	w := newWindow(20)
	if w.limit() != windowStart {
		t.Fatalf("starts at %d", w.limit())
	}
	for range 10 {
		w.success(4)
	}
	if w.limit() != windowStart {
		t.Errorf("grew to %d although it was not in use", w.limit())
	}
	for range 100 {
		w.success(w.limit())
	}
	if w.limit() != 20 {
		t.Errorf("grew to %d, want 20", w.limit())
	}
	w.setback(noon)
	w.setback(noon.Add(time.Millisecond))
	if w.limit() != 10 {
		t.Errorf("two setbacks of one moment left %d, want 10", w.limit())
	}
	for range 10 {
		w.success(w.limit())
	}
	if w.limit() != 10 && w.limit() != 11 {
		t.Errorf("grew to %d in a round after a setback, want one more at most", w.limit())
	}
	for i := range 10 {
		w.setback(noon.Add(time.Duration(i+2) * time.Second))
	}
	if w.limit() != 1 {
		t.Errorf("shrank to %d, want 1", w.limit())
	}
	if small := newWindow(2); small.limit() != 2 {
		t.Errorf("a window of at most 2 starts at %d", small.limit())
	}
}

// Each is served in proportion to cost, and a newcomer neither waits nor catches up.
func TestFair(t *testing.T) {
	t.Parallel()
	var q fair[string]
	cost := map[string]int{"bulk": 10, "single": 1, "late": 1}
	entrants := map[string]*entrant[string]{}
	for _, name := range []string{"bulk", "single", "late"} {
		entrants[name] = newEntrant(name)
	}
	served := map[string]int{}
	serve := func(n int) (order []string) {
		for range n {
			e := q.next()
			order = append(order, e.value)
			served[e.value] += cost[e.value]
			q.charge(e, float64(cost[e.value]))
		}
		return order
	}
	q.enter(entrants["bulk"])
	serve(100)
	q.enter(entrants["single"])
	clear(served)
	serve(1100)
	if served["bulk"] != 1000 || served["single"] != 1000 {
		t.Errorf("served %v, want 1000 each", served)
	}
	q.enter(entrants["late"])
	if order := serve(4); !slices.Contains(order, "late") || slices.Index(order, "late") > 2 {
		t.Errorf("a newcomer waits: %v", order)
	}
	var equal fair[string]
	first, second := newEntrant("first"), newEntrant("second")
	equal.enter(first)
	equal.enter(second)
	equal.leave(first)
	equal.resume(first)
	if got := equal.next(); got != first {
		t.Errorf("one who was kept from its turn comes after %s", got.value)
	}
	equal.owe(first, 2)
	equal.owe(first, 2)
	if equal.next() != second || first.clock != 2 {
		t.Errorf("served twice without its turn, it is behind by %v, want 2", first.clock)
	}
	q.leave(entrants["late"])
	q.leave(entrants["late"])
	if order := serve(30); slices.Contains(order, "late") {
		t.Errorf("served one that left: %v", order)
	}
}

func TestAlarms(t *testing.T) {
	t.Parallel()
	var s alarms[string]
	a, b, c := newAlarm("a"), newAlarm("b"), newAlarm("c")
	s.set(a, noon.Add(3*time.Second))
	s.set(b, noon.Add(time.Second))
	s.set(c, noon.Add(2*time.Second))
	s.set(a, noon)
	s.set(c, time.Time{})
	s.set(c, time.Time{})
	if got := s.due(noon.Add(-time.Second)); got != nil {
		t.Errorf("%s rang early", got.value)
	}
	var order []string
	for x := s.due(noon.Add(time.Minute)); x != nil; x = s.due(noon.Add(time.Minute)) {
		order = append(order, x.value)
	}
	if want := []string{"a", "b"}; !slices.Equal(order, want) {
		t.Errorf("rang %v, want %v", order, want)
	}
	if s.first() != nil {
		t.Error("alarms left")
	}
}
