package admin

import (
	"fmt"
	"time"

	"postrider/relay"
)

// Entry shows a delivery: where it stands and why.
type Entry struct {
	ID          string    `json:"id"`
	Part        uint32    `json:"part"`
	Destination string    `json:"destination"`
	Flow        string    `json:"flow"`
	Sender      string    `json:"sender"`
	Recipients  []string  `json:"recipients"`
	Size        int64     `json:"size"`
	Received    time.Time `json:"received"`
	Attempts    int       `json:"attempts"`
	Due         time.Time `json:"due"`
	// State is active, due, deferred, blocked or held: active mail is being delivered, blocked
	// mail waits for its destination, deferred mail for its own next attempt, held mail for a
	// person.
	State string `json:"state"`
	// Reason says in words why the delivery is still here.
	Reason string `json:"reason"`
}

// The values of Entry.State.
const (
	StateActive   = "active"
	StateDue      = "due"
	StateDeferred = "deferred"
	StateBlocked  = "blocked"
	StateHeld     = "held"
	// StateDamaged marks a delivery whose message cannot be read.
	StateDamaged = "damaged"
)

// Detail shows a message with all that is left to deliver of it.
type Detail struct {
	ID         string    `json:"id"`
	Sender     string    `json:"sender"`
	Recipients []string  `json:"recipients"`
	Size       int64     `json:"size"`
	Received   time.Time `json:"received"`
	Listener   string    `json:"listener,omitempty"`
	Client     string    `json:"client,omitempty"`
	User       string    `json:"user,omitempty"`
	MessageID  string    `json:"message_id,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	Header     string    `json:"header"`
	Deliveries []Entry   `json:"deliveries"`
}

// entry describes a delivery. m is nil when the message cannot be read.
func entry(d relay.Delivery, m *relay.Message, s *relay.Scheduler, now time.Time) Entry {
	e := Entry{
		ID: d.Message.String(), Part: d.Part, Destination: d.To.String(), Flow: string(d.Flow),
		Received: d.Message.Time(), Attempts: d.Attempts, Due: d.Due,
	}
	e.State, e.Reason = standing(d, s, now)
	if m == nil {
		e.State, e.Reason = StateDamaged, "the message cannot be read"
		return e
	}
	e.Sender, e.Size, e.Received = m.Envelope.Sender.String(), m.Size, m.Received
	for _, i := range d.Recipients {
		e.Recipients = append(e.Recipients, m.Envelope.Recipients[i].Address.String())
	}
	return e
}

// standing says why a delivery is still in the queue.
func standing(d relay.Delivery, s *relay.Scheduler, now time.Time) (state, reason string) {
	bin, _ := s.StatusOf(d.To)
	attempt, active := s.Underway(d.DeliveryID)
	switch {
	case active:
		took := now.Sub(attempt.Since).Round(time.Second)
		return StateActive, fmt.Sprintf("being delivered to %s (%s) for %v", attempt.Host, attempt.Addr, took)
	case bin.Closed && d.Held == "":
		return StateBlocked, bin.Reason.String() + "; next probe " + bin.Until.Format(time.RFC3339)
	case d.Held != "":
		return StateHeld, d.Held
	case d.Due.After(now):
		return StateDeferred, d.Last.String()
	case d.Last.Text != "":
		return StateDue, "next attempt is due; last: " + d.Last.String()
	}
	return StateDue, "waiting for its turn"
}

func detail(m *relay.Message) Detail {
	v := Detail{
		ID: m.ID.String(), Sender: m.Envelope.Sender.String(), Size: m.Size, Received: m.Received,
		Listener: m.Origin.Listener, User: m.Origin.User,
		MessageID: m.Field("Message-ID"), Subject: m.Field("Subject"), Header: string(m.Header),
	}
	if m.Origin.Client.IsValid() {
		v.Client = m.Origin.Client.String()
	}
	for _, r := range m.Envelope.Recipients {
		v.Recipients = append(v.Recipients, r.Address.String())
	}
	return v
}

// Bin shows a destination.
type Bin struct {
	Destination string    `json:"destination"`
	Loaded      int       `json:"loaded"`
	Away        int       `json:"away"`
	Site        string    `json:"site,omitempty"`
	Connections int       `json:"connections"`
	Idle        int       `json:"idle"`
	Window      int       `json:"window"`
	Closed      bool      `json:"closed"`
	Until       time.Time `json:"until,omitzero"`
	Reason      string    `json:"reason,omitempty"`
	Next        time.Time `json:"next,omitzero"`
}

// bin shows how a destination stands.
func bin(s relay.BinStatus) Bin {
	return Bin{
		Destination: s.To.String(), Loaded: s.Loaded, Away: s.Away, Site: s.Site,
		Connections: s.Connections, Idle: s.Idle, Window: s.Window,
		Closed: s.Closed, Until: s.Until, Reason: s.Reason.String(), Next: s.Next,
	}
}
