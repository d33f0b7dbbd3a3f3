package relay

import (
	"fmt"
	"strings"
	"time"
)

// Destination is a logical next hop, and the name of a bin: the route and, where the
// route delivers by MX, the recipients' domain. Hosts, credentials and TLS belong to the
// route and are looked up at the attempt.
type Destination struct {
	Route  string
	Domain string
}

// String gives "route" or "route/domain".
func (d Destination) String() string {
	if d.Domain == "" {
		return d.Route
	}
	return d.Route + "/" + d.Domain
}

// ParseDestination reads what String gives. A route's name has no slash.
func ParseDestination(text string) Destination {
	route, domain, _ := strings.Cut(text, "/")
	return Destination{Route: route, Domain: domain}
}

// Flow names the deliveries in a bin that share a sender's identity. Flows of a bin
// compete fairly.
type Flow string

// DeliveryID names a delivery: a message and the number of its part. A message has one
// part for each destination.
type DeliveryID struct {
	Message ID
	Part    uint32
}

// String gives "ID.part", or the ID alone for part 0.
func (id DeliveryID) String() string {
	if id.Part == 0 {
		return id.Message.String()
	}
	return fmt.Sprintf("%s.%d", id.Message, id.Part)
}

// Delivery is one message for one destination: the unit of scheduling. It is a value: a
// change of state is a new value, made durable by Spool.Settle.
type Delivery struct {
	DeliveryID
	To   Destination
	Flow Flow
	// Recipients are the ones that are still to be delivered, as indices into the
	// envelope's Recipients.
	Recipients []int
	// Sole says that the message has no other delivery and never had one, so that
	// its end is the end of the message.
	Sole bool
	// Attempts counts the attempts so far that reached a decision about this delivery.
	Attempts int
	// Due is the earliest time of the next attempt.
	Due time.Time
	// Last is the reply that ended the latest attempt; zero before the first.
	Last Reply
	// Warned says that the sender has been told of the delay.
	Warned bool
	// Priority is what the delivery competes with, from -9 to 9 (RFC 6710).
	Priority int8
	// Held says why a rule or an operator keeps the delivery; "" when nobody does. A held
	// delivery is in no bin: nothing is attempted, and it does not expire, until it is released.
	Held string
	// HeldSince is when it was held; zero while it is not.
	HeldSince time.Time
	// Released says that an operator has released it: no route holds or discards it again.
	Released bool
	// Route is the name of the route that an operator has chosen; "" leaves that to the rules.
	Route string
	// Suspended is how long it has been held before. That does not count as age.
	Suspended time.Duration
	// message is at hand while a fresh delivery is handed over in memory.
	message *Message
	// extra says that it is in memory beyond the room of its bin.
	extra bool
	// paid is how many bytes the rates were charged for as a courier took it.
	paid int64
	// Claimed says that whoever holds this value holds the claim: nobody else will be
	// given the delivery until it is settled or released. Claims live in memory only.
	Claimed bool
}

// age is how long the delivery has been on its way, the time that it was held not counted.
func (d *Delivery) age(received, now time.Time) time.Duration {
	return now.Sub(received) - d.Suspended
}

// fits says whether the message has the recipients that the delivery names.
func (d *Delivery) fits(m *Message) bool {
	for _, k := range d.Recipients {
		if k < 0 || k >= len(m.Envelope.Recipients) {
			return false
		}
	}
	return true
}
