package relay

import (
	"testing"
	"time"
)

// tokensTaken lists when tokens are had by somebody who wants one at every chance for a time.
func tokensTaken(r Rate, span time.Duration) []time.Time {
	now := time.Unix(1e9, 0)
	end := now.Add(span)
	b := bucket{rate: r}
	var all []time.Time
	for now.Before(end) {
		if at := b.ready(); at.After(now) {
			now = at
			continue
		}
		b.take(1, now)
		all = append(all, now)
	}
	return all
}

// In no span of Per does more than Count happen, and over long at least nine tenths of it.
func TestBucketKeepsRate(t *testing.T) {
	t.Parallel()
	for _, r := range []Rate{
		{Count: 1, Per: time.Second}, {Count: 2, Per: time.Minute}, {Count: 19, Per: time.Minute},
		{Count: 30, Per: time.Minute}, {Count: 1000, Per: time.Second}, {Count: 3, Per: 7 * time.Second},
	} {
		all := tokensTaken(r, 20*r.Per)
		for i := range all {
			if k := i + int(r.Count); k < len(all) && all[k].Sub(all[i]) < r.Per-time.Microsecond {
				t.Fatalf("%v: %d within %v", r, r.Count+1, all[k].Sub(all[i]))
			}
		}
		if least := int(18 * r.Count); len(all) < least {
			t.Errorf("%v: %d in %v, want %d at least", r, len(all), 20*r.Per, least)
		}
	}
}

func TestBucketBurstDebtAndRefund(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	b := bucket{rate: Rate{Count: 100, Per: time.Minute}}
	n := 0
	for !b.ready().After(now) {
		b.take(1, now)
		n++
	}
	if n != 10 {
		t.Errorf("%d at once, want 10", n)
	}
	b.refund(1)
	if b.ready().After(now) {
		t.Error("what was given back is not to be had again")
	}
	b = bucket{rate: Rate{Count: 10, Per: 10 * time.Second, Of: Bytes}}
	b.take(100, now)
	if got := b.ready().Sub(now); got != 100*time.Second {
		t.Errorf("ten times the count is paid for after %v, want 100s", got)
	}
}

// A state from a clock that has been set back since does not close a meter for days.
func TestMeterResumes(t *testing.T) {
	t.Parallel()
	rates := []Rate{{Count: 10, Per: time.Minute}, {Count: 1000, Per: 24 * time.Hour, Of: Recipients}}
	now := time.Unix(1e9, 0)
	before := newMeter("route x", rates)
	before.take(amount{Messages: 5, Recipients: 500}, now)
	after := newMeter("route x", append(rates[:2:2], Rate{Count: 1, Per: time.Hour}))
	after.resume(before.state(), now)
	for i := range 2 {
		if got, want := after.buckets[i].full, before.buckets[i].full; got.Sub(want).Abs() > time.Millisecond {
			t.Errorf("%v: full at %v, want %v", rates[i], got, want)
		}
	}
	if !after.buckets[2].idle(now) {
		t.Error("a new rate begins with a debt")
	}
	late := newMeter("route x", rates)
	late.resume(before.state(), now.Add(-30*24*time.Hour))
	if wait := late.buckets[0].full.Sub(now.Add(-30 * 24 * time.Hour)); wait > time.Minute {
		t.Errorf("after a clock set back a rate a minute waits for %v", wait)
	}
	if !over(before.state(), now.Add(48*time.Hour)) || over(before.state(), now) || !over([]byte("nonsense"), now) {
		t.Error("over is wrong about a state")
	}
}
