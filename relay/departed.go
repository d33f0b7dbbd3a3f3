package relay

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// departed is a recipient that a message does not have any more, and the reply that says what became
// of it. A client that was told yes about it can be told where its mail is.
type departed struct {
	Recipient
	reply Reply
}

// replyDiscarded stands with the outcome of what the configuration throws away.
var replyDiscarded = Reply{Code: 250, Enhanced: EnhancedCode{2, 0, 0}, Text: "Discarded, as the configuration says"}

// Redirected is the reply that stands for a recipient whose mail went to others (251, RFC 5321
// section 3.4). By says who did that, such as "rule night"; "" says nothing.
func Redirected(to []Recipient, by string) Reply {
	const most = 5
	var b strings.Builder
	for i, r := range to[:min(len(to), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(r.Address.String())
	}
	if more := len(to) - most; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	if by != "" {
		b.WriteString(" by " + by)
	}
	return Reply{Code: 251, Enhanced: EnhancedCode{2, 1, 5}, Text: "Redirected to " + b.String()}
}

// Removed is the reply that stands for a recipient that was removed.
func Removed(by string) Reply {
	return Reply{Code: 250, Enhanced: EnhancedCode{2, 0, 0}, Text: "Removed by " + by}
}

// IsRedirected says that the reply is one of Redirected's.
func (r Reply) IsRedirected() bool { return r.Code == 251 }

func (t *Transaction) hasDeparted(a Address) bool {
	return slices.ContainsFunc(t.departed, func(d departed) bool { return d.Address == a })
}

// part notes who is gone of the recipients that rules were asked about.
func (t *Transaction) part(before []Recipient, e *Edits) {
	known := make(map[Address]bool)
	for _, r := range e.Recipients {
		known[r.Address] = true
	}
	leave := func(r Recipient, without Reply) {
		if known[r.Address] {
			return
		}
		known[r.Address] = true
		reply, ok := e.Ends[r.Address]
		if !ok {
			reply = without
		}
		t.departed = append(t.departed, departed{r, reply})
	}
	for _, r := range e.Removed {
		leave(r, replyDiscarded)
	}
	if e.Recipients == nil {
		return
	}
	gone := replyDiscarded
	if len(e.Recipients) > 0 {
		gone = Redirected(e.Recipients, "")
	}
	for _, r := range before {
		leave(r, gone)
	}
}

// departures are the ends of the recipients who are not in the queue, each once.
func (t *Transaction) departures(m *Message) []Outcome {
	var outcomes []Outcome
	if len(t.departed) > 0 {
		known := make(map[Address]bool)
		for _, r := range m.Envelope.Recipients {
			known[r.Address] = true // back again, if it was gone
		}
		for _, d := range t.departed {
			if !known[d.Address] {
				outcomes = append(outcomes, Outcome{Recipient: d.Recipient, Status: Discarded, Reply: d.reply})
			}
			known[d.Address] = true
		}
	}
	for i, routing := range t.to {
		if routing.Discard {
			outcomes = append(outcomes, Outcome{Recipient: m.Envelope.Recipients[i], Status: Discarded, Reply: replyDiscarded})
		}
	}
	return outcomes
}

// remember has the history keep what became of a message of which nothing is queued. There is no
// batch that it could go with, and to lose it in a crash loses no mail: it is not waited for. Should it
// fail, mail is not stopped.
func (t *Transaction) remember(ctx context.Context, m *Message, gone []Outcome) {
	h := t.o.History
	if h == nil {
		return
	}
	if err := h.Record(context.WithoutCancel(ctx), m, t.ends(m, gone)...); err != nil {
		t.o.Observer.Faulted(Fault{Doing: "remember what was thrown away", Message: m.ID, Err: err})
	}
}

// ends are the events of who is not in the queue.
func (t *Transaction) ends(m *Message, gone []Outcome) []Event {
	if len(gone) == 0 {
		return nil
	}
	places := make(map[Address]int)
	for i, r := range m.Envelope.Recipients {
		places[r.Address] = i
	}
	var events []Event
	for _, o := range gone {
		i := slices.IndexFunc(events, func(e Event) bool { return e.Reply == o.Reply })
		if i < 0 {
			i = len(events)
			events = append(events, Event{At: t.o.Now(), What: Discarded.String(), Reply: o.Reply})
		}
		e := &events[i]
		if k, ok := places[o.Recipient.Address]; ok {
			e.Recipients = append(e.Recipients, k)
		} else {
			e.Removed = append(e.Removed, o.Recipient.Address.String())
		}
	}
	return events
}
