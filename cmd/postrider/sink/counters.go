package sink

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
)

// counters count what a sink has seen. All sessions share them.
type counters struct {
	sessions, open, peak          atomic.Int64
	messages, recipients, bytes   atomic.Int64
	refused, dropped, damaged     atomic.Int64
	firstMessage, lastMessageNano atomic.Int64
}

// begin counts a new session and gives its number.
func (c *counters) begin() int64 {
	open := c.open.Add(1)
	for peak := c.peak.Load(); open > peak && !c.peak.CompareAndSwap(peak, open); {
		peak = c.peak.Load()
	}
	return c.sessions.Add(1)
}

func (c *counters) end() { c.open.Add(-1) }

// take counts a message.
func (c *counters) take(m *Message) {
	c.recipients.Add(int64(len(m.Recipients)))
	c.bytes.Add(m.Size)
	c.firstMessage.CompareAndSwap(0, m.At.UnixNano())
	c.lastMessageNano.Store(m.At.UnixNano())
}

// Summary is what a sink has seen in all.
type Summary struct {
	Sessions   int64 `json:"sessions"`
	Peak       int64 `json:"sessions_at_once"`
	Messages   int64 `json:"messages"`
	Recipients int64 `json:"recipients"`
	Bytes      int64 `json:"bytes"`
	// Refused counts replies that --reject gave, Dropped connections that --drop closed.
	Refused int64 `json:"refused"`
	Dropped int64 `json:"dropped"`
	// Damaged counts messages of postrider load whose content is not what was sent.
	Damaged int64 `json:"damaged"`
	// Seconds is the time from the first message to the last, Rate messages per second of it.
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"rate"`
}

func (c *counters) summary() Summary {
	s := Summary{
		Sessions:   c.sessions.Load(),
		Peak:       c.peak.Load(),
		Messages:   c.messages.Load(),
		Recipients: c.recipients.Load(),
		Bytes:      c.bytes.Load(),
		Refused:    c.refused.Load(),
		Dropped:    c.dropped.Load(),
		Damaged:    c.damaged.Load(),
		Seconds:    time.Duration(c.lastMessageNano.Load() - c.firstMessage.Load()).Seconds(),
	}
	if s.Seconds > 0 {
		s.Rate = float64(s.Messages) / s.Seconds
	}
	return s
}

// String gives the summary as one line for people.
func (s Summary) String() string {
	text := fmt.Sprintf("%s sessions (%s at once), %s messages, %s recipients, %s in %.1f s: %s messages/s",
		humanize.Comma(s.Sessions), humanize.Comma(s.Peak), humanize.Comma(s.Messages), humanize.Comma(s.Recipients),
		humanize.Bytes(uint64(s.Bytes)), s.Seconds, humanize.Comma(int64(s.Rate)))
	for _, extra := range []struct {
		count int64
		what  string
	}{{s.Refused, "refused"}, {s.Dropped, "connections dropped"}, {s.Damaged, "DAMAGED"}} {
		if extra.count > 0 {
			text += fmt.Sprintf(", %s %s", humanize.Comma(extra.count), extra.what)
		}
	}
	return text
}
