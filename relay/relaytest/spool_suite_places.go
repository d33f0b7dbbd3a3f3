package relaytest

import (
	"slices"
	"time"

	"postrider/relay"
)

// places gives all from one on.
func (t *spoolTest) places(from relay.Place) []relay.Place {
	t.Helper()
	var all []relay.Place
	for p, err := range t.Places(t.ctx, from) {
		if err != nil {
			t.Fatalf("places: %v", err)
		}
		all = append(all, p)
	}
	return all
}

func samePlaces(a, b relay.Place) bool { return a.Compare(b) == 0 }

// testPlaces wants every delivery exactly once, in order, from any place on: whoever reads
// a page remembers the last place and goes on behind it.
func testPlaces(t *spoolTest) {
	var want []relay.Place
	for i := range 700 {
		to, flow := alpha, bulk
		if i%3 == 0 {
			to = beta
		}
		if i%2 == 0 {
			flow = "another"
		}
		d := t.queue(to, flow, t.t0.Add(time.Duration(700-i)*time.Second))
		if i%100 == 7 {
			d = t.hold(d, "look")
		}
		want = append(want, relay.PlaceOf(&d))
	}
	slices.SortFunc(want, relay.Place.Compare)
	if got := t.places(relay.Place{}); !slices.EqualFunc(got, want, samePlaces) {
		t.Fatalf("%d places, want %d in order", len(got), len(want))
	}
	for _, k := range []int{0, 1, 511, 512, 690, 693, 699} {
		if got := t.places(want[k]); !slices.EqualFunc(got, want[k:], samePlaces) {
			t.Errorf("from place %d: %d places, want %d in order", k, len(got), len(want)-k)
		}
	}
	for range t.Places(t.ctx, relay.Place{}) {
		break // whoever has seen enough may stop
	}
}
