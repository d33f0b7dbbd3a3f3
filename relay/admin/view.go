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
	// State is a word of relay.State, or StateDamaged: active mail is being delivered, due mail
	// waits for its turn, deferred mail for its own next attempt, blocked mail for its
	// destination, paused and held mail for a person.
	State string `json:"state"`
	// Reason says in words why the delivery is still here.
	Reason string `json:"reason"`
	// Class is what the last reply was about.
	Class    string `json:"class,omitempty"`
	Priority int8   `json:"priority,omitempty"`
}

// StateDamaged marks a delivery whose message cannot be read.
const StateDamaged = "damaged"

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
	// Priority is the client's, Tags and Trace what rules made of the message.
	Priority   int8      `json:"priority,omitempty"`
	Tags       []string  `json:"tags,omitempty"`
	Trace      []Verdict `json:"trace,omitempty"`
	Deliveries []Entry   `json:"deliveries"`
}

// Verdict is what a rule said.
type Verdict struct {
	Rule      string `json:"rule"`
	Stage     string `json:"stage"`
	Recipient string `json:"recipient,omitempty"`
	// Said is empty where the rule did not match.
	Said string `json:"said,omitempty"`
}

// entry describes a delivery. m is nil when the message cannot be read.
func entry(d relay.Delivery, m *relay.Message, s *relay.Scheduler, now time.Time) Entry {
	e := Entry{
		ID: d.Message.String(), Part: d.Part, Destination: d.To.String(), Flow: string(d.Flow),
		Received: d.Message.Time(), Attempts: d.Attempts, Due: d.Due, Class: d.Last.Class.String(), Priority: d.Priority,
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

// standing says how a delivery stands, and why it is still in the queue.
func standing(d relay.Delivery, s *relay.Scheduler, now time.Time) (state, reason string) {
	is := s.StateOf(&d)
	bin, _ := s.StatusOf(d.To)
	attempt, _ := s.Underway(d.DeliveryID)
	switch {
	case is == relay.StateHeld:
		reason = d.Held
	case is == relay.StateActive:
		took := now.Sub(attempt.Since).Round(time.Second)
		reason = fmt.Sprintf("being delivered to %s (%s) for %v", attempt.Host, attempt.Addr, took)
	case is == relay.StatePaused:
		reason = "its destination is paused" + pausedBy(bin.Paused)
	case is == relay.StateBlocked:
		reason = bin.Reason.String() + "; next probe " + bin.Until.Format(time.RFC3339)
	case is == relay.StateDeferred:
		reason = d.Last.String()
	case d.Last.Text != "":
		reason = "next attempt is due; last: " + d.Last.String()
	default:
		reason = "waiting for its turn"
	}
	return is.String(), reason
}

func pausedBy(p *relay.Pause) string {
	if p == nil {
		return ""
	}
	return " by " + p.Author + ": " + p.Reason
}

func detail(m *relay.Message) Detail {
	view := Detail{
		ID: m.ID.String(), Sender: m.Envelope.Sender.String(), Size: m.Size, Received: m.Received,
		Listener: m.Origin.Listener, User: m.Origin.User,
		MessageID: m.Field("Message-ID"), Subject: m.Field("Subject"), Header: string(m.Header),
		Priority: m.Envelope.Priority, Tags: m.Tags,
	}
	for _, v := range m.Trace {
		view.Trace = append(view.Trace, Verdict(v))
	}
	if m.Origin.Client.IsValid() {
		view.Client = m.Origin.Client.String()
	}
	for _, r := range m.Envelope.Recipients {
		view.Recipients = append(view.Recipients, r.Address.String())
	}
	return view
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
	// Doing is what is going on, and Moved when a delivery last set off or was loaded.
	Doing string    `json:"doing,omitempty"`
	Moved time.Time `json:"moved,omitzero"`
	// Paused is who stopped deliveries, when and why.
	Paused *Pause `json:"paused,omitempty"`
}

// bin shows how a destination stands.
func bin(s relay.BinStatus) Bin {
	b := Bin{
		Destination: s.To.String(), Loaded: s.Loaded, Away: s.Away, Site: s.Site,
		Connections: s.Connections, Idle: s.Idle, Window: s.Window,
		Closed: s.Closed, Until: s.Until, Reason: s.Reason.String(), Next: s.Next, Doing: string(s.Doing), Moved: s.Moved,
	}
	if s.Paused != nil {
		p := Pause(*s.Paused)
		b.Paused = &p
	}
	return b
}
