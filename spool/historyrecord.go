package spool

import (
	"bytes"
	"time"

	"postrider/relay"
)

// factsRecord is what a message was accepted with. The numbers are never given to another field.
type factsRecord struct {
	Received   int64           `cbor:"1,keyasint,omitempty"`
	Sender     string          `cbor:"2,keyasint,omitempty"`
	Recipients []string        `cbor:"3,keyasint,omitempty"`
	MessageID  string          `cbor:"4,keyasint,omitempty"`
	Subject    string          `cbor:"5,keyasint,omitempty"`
	Size       int64           `cbor:"6,keyasint,omitempty"`
	Listener   string          `cbor:"7,keyasint,omitempty"`
	Client     string          `cbor:"8,keyasint,omitempty"`
	User       string          `cbor:"9,keyasint,omitempty"`
	Tags       []string        `cbor:"10,keyasint,omitempty"`
	Trace      []verdictRecord `cbor:"11,keyasint,omitempty"`
	Signatures []string        `cbor:"12,keyasint,omitempty"`
	Events     []eventRecord   `cbor:"13,keyasint,omitempty"`
}

type eventRecord struct {
	At         int64    `cbor:"1,keyasint,omitempty"`
	What       string   `cbor:"2,keyasint,omitempty"`
	Recipients []int    `cbor:"3,keyasint,omitempty"`
	Code       int      `cbor:"4,keyasint,omitempty"`
	Enhanced   []int    `cbor:"5,keyasint,omitempty"`
	Text       string   `cbor:"6,keyasint,omitempty"`
	Class      string   `cbor:"7,keyasint,omitempty"`
	Host       string   `cbor:"8,keyasint,omitempty"`
	Attempts   int      `cbor:"9,keyasint,omitempty"`
	Connect    int64    `cbor:"10,keyasint,omitempty"`
	Transmit   int64    `cbor:"11,keyasint,omitempty"`
	Author     string   `cbor:"12,keyasint,omitempty"`
	Reason     string   `cbor:"13,keyasint,omitempty"`
	Removed    []string `cbor:"14,keyasint,omitempty"`
}

// historyText bounds the texts that others wrote and we remember, in bytes.
const historyText = 500

func cut(text string) string { return text[:min(len(text), historyText)] }

func (c codec) encodeFacts(f relay.Facts, events []relay.Event) (*bytes.Buffer, error) {
	r := factsRecord{
		Received: nanos(f.Received), Sender: f.Sender, Recipients: f.Recipients, MessageID: cut(f.MessageID),
		Subject: cut(f.Subject), Size: f.Size, Listener: f.Listener, Client: f.Client, User: f.User,
		Tags: f.Tags, Signatures: f.Signatures, Events: eventRecords(events),
	}
	for _, v := range f.Trace {
		r.Trace = append(r.Trace, verdictRecord(v))
	}
	return c.encode(nil, &r)
}

func (c codec) decodeFacts(id relay.ID, value []byte) (relay.Facts, []relay.Event, error) {
	var r factsRecord
	if err := c.decode(value, 0, &r); err != nil {
		return relay.Facts{}, nil, err
	}
	f := relay.Facts{
		ID: id, Received: fromNanos(r.Received), Sender: r.Sender, Recipients: r.Recipients, MessageID: r.MessageID,
		Subject: r.Subject, Size: r.Size, Listener: r.Listener, Client: r.Client, User: r.User,
		Tags: r.Tags, Signatures: r.Signatures,
	}
	for _, v := range r.Trace {
		f.Trace = append(f.Trace, relay.Verdict(v))
	}
	return f, eventsOf(r.Events), nil
}

func (c codec) encodeEvents(events []relay.Event) (*bytes.Buffer, error) {
	return c.encode(nil, eventRecords(events))
}

func eventRecords(events []relay.Event) []eventRecord {
	rs := make([]eventRecord, len(events))
	for i, e := range events {
		rs[i] = eventRecord{
			At: nanos(e.At), What: e.What, Recipients: e.Recipients, Code: e.Reply.Code, Text: cut(e.Reply.Text),
			Class: e.Reply.Class.String(), Host: e.Host, Attempts: e.Attempts,
			Connect: int64(e.Connect), Transmit: int64(e.Transmit), Author: e.Author, Reason: cut(e.Reason), Removed: e.Removed,
		}
		if e.Reply.Enhanced != (relay.EnhancedCode{}) {
			rs[i].Enhanced = e.Reply.Enhanced[:]
		}
	}
	return rs
}

func (c codec) decodeEvents(value []byte) ([]relay.Event, error) {
	var rs []eventRecord
	if err := c.decode(value, 0, &rs); err != nil {
		return nil, err
	}
	return eventsOf(rs), nil
}

func eventsOf(rs []eventRecord) []relay.Event {
	events := make([]relay.Event, len(rs))
	for i, r := range rs {
		events[i] = relay.Event{
			At: fromNanos(r.At), What: r.What, Recipients: r.Recipients, Reply: relay.Reply{Code: r.Code, Text: r.Text},
			Host: r.Host, Attempts: r.Attempts, Connect: time.Duration(r.Connect), Transmit: time.Duration(r.Transmit),
			Author: r.Author, Reason: r.Reason, Removed: r.Removed,
		}
		copy(events[i].Reply.Enhanced[:], r.Enhanced)
		// A class that a newer program knows and this one does not is none.
		_ = events[i].Reply.Class.UnmarshalText([]byte(r.Class))
	}
	return events
}
