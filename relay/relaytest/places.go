package relaytest

import (
	"context"
	"iter"
	"slices"

	"postrider/relay"
)

// Places yields where deliveries wait.
func (s *Spool) Places(ctx context.Context, from relay.Place) iter.Seq2[relay.Place, error] {
	return func(yield func(relay.Place, error) bool) {
		var places []relay.Place
		for _, d := range s.all() {
			places = append(places, relay.PlaceOf(&d))
		}
		slices.SortFunc(places, relay.Place.Compare)
		for _, p := range places {
			if p.Compare(from) >= 0 && !yield(p, ctx.Err()) {
				return
			}
		}
	}
}
