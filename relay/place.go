package relay

import (
	"bytes"
	"cmp"
	"time"
)

// Place is where a delivery waits: what a Spool knows of it without reading it.
type Place struct {
	// Held says that it is held, outside of its bin.
	Held bool
	To   Destination
	Flow Flow
	Due  time.Time
	DeliveryID
}

// PlaceOf is where the delivery waits.
func PlaceOf(d *Delivery) Place {
	return Place{Held: d.Held != "", To: d.To, Flow: d.Flow, Due: d.Due, DeliveryID: d.DeliveryID}
}

// Compare orders places as Spool.Places yields them: what is held last, and then by route,
// domain, flow, due time, message and part.
func (p Place) Compare(q Place) int {
	return cmp.Or(
		compareBool(p.Held, q.Held),
		cmp.Compare(p.To.Route, q.To.Route), cmp.Compare(p.To.Domain, q.To.Domain), cmp.Compare(p.Flow, q.Flow),
		p.Due.Compare(q.Due), bytes.Compare(p.Message[:], q.Message[:]), cmp.Compare(p.Part, q.Part),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
