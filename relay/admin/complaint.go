package admin

import (
	"slices"
	"sync"
	"time"

	"postrider/relay"
)

// Complaint is a reply of a destination that was not positive, and when and how often it came lately.
type Complaint struct {
	// At is when it came last, Times how often since it came first.
	At    time.Time `json:"at"`
	Times int       `json:"times"`
	Host  string    `json:"host,omitempty"`
	Reply string    `json:"reply"`
	Class string    `json:"class,omitempty"`
}

// What is kept of complaints: the latest few of the destinations that complained last.
const (
	complaintsOfOne     = 5
	complaintsFrom      = 1000
	complaintReplyBytes = 512
)

// complaints remembers what destinations replied lately, in memory that is bounded.
type complaints struct {
	now func() time.Time

	mu  sync.Mutex
	all map[relay.Destination][]Complaint
}

func newComplaints(now func() time.Time) *complaints {
	return &complaints{now: now, all: make(map[relay.Destination][]Complaint)}
}

// of are those of a destination, the latest first.
func (c *complaints) of(to relay.Destination) []Complaint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all[to])
}

// take notes what an attempt met with, once for each reply.
func (c *complaints) take(e *relay.Attempted) {
	var last string
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		if o.Status != relay.Deferred && o.Status != relay.Bounced {
			continue
		}
		text := o.Reply.String()
		if text == last {
			continue
		}
		last = text
		host := o.Host
		if host == "" {
			host = e.Host
		}
		c.add(e.Delivery.To, Complaint{Times: 1, Host: host, Reply: text[:min(len(text), complaintReplyBytes)], Class: o.Reply.Class.String()})
	}
}

func (c *complaints) add(to relay.Destination, v Complaint) {
	v.At = c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.all[to]; !there && len(c.all) >= complaintsFrom {
		c.forget()
	}
	list := c.all[to]
	i := slices.IndexFunc(list, func(o Complaint) bool { return o.Host == v.Host && o.Reply == v.Reply })
	if i >= 0 {
		v.Times += list[i].Times
		list = slices.Delete(list, i, i+1)
	}
	list = slices.Insert(list, 0, v)
	c.all[to] = list[:min(len(list), complaintsOfOne)]
}

// forget drops the half of the destinations whose complaints are the oldest, so that this is done
// rarely.
func (c *complaints) forget() {
	times := make([]time.Time, 0, len(c.all))
	for _, list := range c.all {
		times = append(times, list[0].At)
	}
	slices.SortFunc(times, time.Time.Compare)
	middle := times[len(times)/2]
	for to, list := range c.all {
		if !list[0].At.After(middle) {
			delete(c.all, to)
		}
	}
}
