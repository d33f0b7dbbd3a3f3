package inbound

import (
	"testing"
	"testing/synctest"
	"time"

	"postrider/inbound/auth"
)

func TestMeters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMeters(time.Now, metersKept)
		hourly := claim{meter: meter{name: "ann"}, rate: auth.Rate{N: 3, Per: time.Hour}}
		want := func(step string, c *claim, ok bool) {
			t.Helper()
			if (c == nil) != ok {
				t.Errorf("%s: over %v", step, c)
			}
		}
		for range 3 {
			want("all at once", m.take([]claim{hourly}), true)
		}
		want("one more", m.take([]claim{hourly}), false)
		time.Sleep(20*time.Minute - time.Second)
		want("a little early", m.take([]claim{hourly}), false)
		time.Sleep(time.Second)
		want("a third later", m.take([]claim{hourly}), true)
		want("and no more", m.take([]claim{hourly}), false)

		// What one meter has no room for is not counted on another.
		other := claim{meter: meter{name: "bob"}, rate: auth.Rate{N: 1, Per: time.Hour}}
		if c := m.take([]claim{other, hourly}); c == nil || c.meter.name != "ann" {
			t.Errorf("over %v, want ann", c)
		}
		want("bob", m.take([]claim{other}), true)
		time.Sleep(24 * time.Hour)
		for range 3 {
			want("a day later", m.take([]claim{hourly}), true)
		}
		want("not more than the rate", m.take([]claim{hourly}), false)
	})
}
