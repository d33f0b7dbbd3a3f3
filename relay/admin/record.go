package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"postrider/relay"
)

// recordVersion is that of the form of Record.
const recordVersion = 1

// Record is all that the queue knows of a message but its bytes: what takes it to another queue.
type Record struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"`
	Received time.Time `json:"received"`
	// Size is the length of the message in bytes, of which the first HeaderSize are its header.
	Size       int64            `json:"size"`
	HeaderSize int64            `json:"header_size"`
	Envelope   RecordEnvelope   `json:"envelope"`
	Origin     RecordOrigin     `json:"origin"`
	Tags       []string         `json:"tags,omitempty"`
	Trace      []Verdict        `json:"trace,omitempty"`
	Deliveries []RecordDelivery `json:"deliveries"`
}

// RecordEnvelope is relay.Envelope.
type RecordEnvelope struct {
	Sender      string            `json:"sender"`
	Recipients  []RecordRecipient `json:"recipients"`
	SMTPUTF8    bool              `json:"smtputf8,omitempty"`
	EightBit    bool              `json:"eight_bit,omitempty"`
	RequireTLS  bool              `json:"require_tls,omitempty"`
	TLSOptional bool              `json:"tls_optional,omitempty"`
	Priority    int8              `json:"priority,omitempty"`
	Return      uint8             `json:"return,omitempty"`
	EnvelopeID  string            `json:"envelope_id,omitempty"`
	Encryption  uint8             `json:"encryption,omitempty"`
}

// RecordRecipient is relay.Recipient.
type RecordRecipient struct {
	Address  string `json:"address"`
	Notify   uint8  `json:"notify,omitempty"`
	Original string `json:"original,omitempty"`
	Route    string `json:"route,omitempty"`
}

// RecordOrigin is relay.Origin.
type RecordOrigin struct {
	Listener string `json:"listener,omitempty"`
	Client   string `json:"client,omitempty"`
	Greeting string `json:"greeting,omitempty"`
	User     string `json:"user,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	TLS      string `json:"tls,omitempty"`
}

// RecordDelivery is relay.Delivery.
type RecordDelivery struct {
	Part        uint32 `json:"part"`
	Destination string `json:"destination"`
	Flow        string `json:"flow,omitempty"`
	// Recipients are indices into the envelope's.
	Recipients  []int        `json:"recipients"`
	Sole        bool         `json:"sole,omitempty"`
	Attempts    int          `json:"attempts,omitempty"`
	Due         time.Time    `json:"due"`
	Last        *RecordReply `json:"last,omitempty"`
	Warned      bool         `json:"warned,omitempty"`
	Priority    int8         `json:"priority,omitempty"`
	Held        string       `json:"held,omitempty"`
	HeldSince   time.Time    `json:"held_since,omitzero"`
	Released    bool         `json:"released,omitempty"`
	Route       string       `json:"route,omitempty"`
	SuspendedMS int64        `json:"suspended_ms,omitempty"`
}

// RecordReply is relay.Reply.
type RecordReply struct {
	Code     int    `json:"code,omitempty"`
	Enhanced []int  `json:"enhanced,omitempty"`
	Text     string `json:"text,omitempty"`
	Class    string `json:"class,omitempty"`
}

// NewRecord is the record of a message.
func NewRecord(m *relay.Message, ds []relay.Delivery) *Record {
	e, o := &m.Envelope, &m.Origin
	r := &Record{
		Version: recordVersion, ID: m.ID.String(), Received: m.Received, Size: m.Size, HeaderSize: int64(len(m.Header)),
		Envelope: RecordEnvelope{
			Sender: e.Sender.String(), SMTPUTF8: e.SMTPUTF8, EightBit: e.EightBit, RequireTLS: e.RequireTLS, TLSOptional: e.TLSOptional,
			Priority: e.Priority, Return: uint8(e.Return), EnvelopeID: e.EnvelopeID, Encryption: uint8(e.Encryption),
		},
		Origin: RecordOrigin{Listener: o.Listener, Greeting: o.Greeting, User: o.User, Protocol: o.Protocol, TLS: o.TLS},
		Tags:   m.Tags,
	}
	if o.Client.IsValid() {
		r.Origin.Client = o.Client.String()
	}
	for _, v := range m.Trace {
		r.Trace = append(r.Trace, Verdict(v))
	}
	for _, to := range e.Recipients {
		r.Envelope.Recipients = append(r.Envelope.Recipients, RecordRecipient{
			Address: to.Address.String(), Notify: uint8(to.Notify), Original: to.Original, Route: to.Route,
		})
	}
	for i := range ds {
		r.Deliveries = append(r.Deliveries, recordDelivery(&ds[i]))
	}
	return r
}

func recordDelivery(d *relay.Delivery) RecordDelivery {
	r := RecordDelivery{
		Part: d.Part, Destination: d.To.String(), Flow: string(d.Flow), Recipients: d.Recipients, Sole: d.Sole, Attempts: d.Attempts,
		Due: d.Due, Warned: d.Warned, Priority: d.Priority, Held: d.Held, HeldSince: d.HeldSince, Released: d.Released,
		Route: d.Route, SuspendedMS: d.Suspended.Milliseconds(),
	}
	if l := &d.Last; l.Code != 0 || l.Text != "" {
		r.Last = &RecordReply{Code: l.Code, Enhanced: l.Enhanced[:], Text: l.Text, Class: l.Class.String()}
	}
	return r
}

// ParseRecord reads a record's JSON. What it does not know it refuses: nothing of a message is
// to be lost on its way.
func ParseRecord(text []byte) (*Record, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	r := new(Record)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("read the record: its version is %d, and %d is known", r.Version, recordVersion)
	}
	return r, nil
}

// Message is the message, without its header, and its deliveries.
func (r *Record) Message() (*relay.Message, []relay.Delivery, error) {
	id, err := relay.ParseID(r.ID)
	if err != nil {
		return nil, nil, err
	}
	if r.HeaderSize < 1 || r.HeaderSize > r.Size {
		return nil, nil, fmt.Errorf("a header of %d bytes in a message of %d", r.HeaderSize, r.Size)
	}
	m := &relay.Message{ID: id, Size: r.Size, Received: r.Received, Tags: r.Tags}
	for _, v := range r.Trace {
		m.Trace = append(m.Trace, relay.Verdict(v))
	}
	if m.Envelope, err = r.Envelope.envelope(); err != nil {
		return nil, nil, err
	}
	if m.Origin, err = r.Origin.origin(); err != nil {
		return nil, nil, err
	}
	var ds []relay.Delivery
	for i := range r.Deliveries {
		d, err := r.Deliveries[i].delivery(id)
		if err != nil {
			return nil, nil, err
		}
		ds = append(ds, d)
	}
	return m, ds, nil
}

func (r *RecordEnvelope) envelope() (relay.Envelope, error) {
	e := relay.Envelope{
		SMTPUTF8: r.SMTPUTF8, EightBit: r.EightBit, RequireTLS: r.RequireTLS, TLSOptional: r.TLSOptional,
		Priority: r.Priority, Return: relay.Return(r.Return), EnvelopeID: r.EnvelopeID, Encryption: relay.Encryption(r.Encryption),
	}
	var err error
	if r.Sender != "" {
		if e.Sender, err = relay.ParseAddress(r.Sender); err != nil {
			return e, fmt.Errorf("sender: %w", err)
		}
	}
	if len(r.Recipients) == 0 {
		return e, errors.New("no recipients")
	}
	for _, to := range r.Recipients {
		address, err := relay.ParseAddress(to.Address)
		if err != nil {
			return e, fmt.Errorf("recipient: %w", err)
		}
		e.Recipients = append(e.Recipients, relay.Recipient{Address: address, Notify: relay.Notify(to.Notify), Original: to.Original, Route: to.Route})
	}
	return e, nil
}

func (r *RecordOrigin) origin() (relay.Origin, error) {
	o := relay.Origin{Listener: r.Listener, Greeting: r.Greeting, User: r.User, Protocol: r.Protocol, TLS: r.TLS}
	var err error
	if r.Client != "" {
		o.Client, err = netip.ParseAddr(r.Client)
	}
	return o, err
}

func (r *RecordDelivery) delivery(id relay.ID) (relay.Delivery, error) {
	d := relay.Delivery{
		DeliveryID: relay.DeliveryID{Message: id, Part: r.Part}, To: relay.ParseDestination(r.Destination), Flow: relay.Flow(r.Flow),
		Recipients: r.Recipients, Sole: r.Sole, Attempts: r.Attempts, Due: r.Due, Warned: r.Warned, Priority: r.Priority, Held: r.Held,
		HeldSince: r.HeldSince, Released: r.Released, Route: r.Route, Suspended: time.Duration(r.SuspendedMS) * time.Millisecond,
	}
	if l := r.Last; l != nil {
		d.Last = relay.Reply{Code: l.Code, Text: l.Text}
		if l.Class != "" {
			if err := d.Last.Class.UnmarshalText([]byte(l.Class)); err != nil {
				return d, err
			}
		}
		if copy(d.Last.Enhanced[:], l.Enhanced) != len(l.Enhanced) {
			return d, fmt.Errorf("the enhanced code %v has more than three numbers", l.Enhanced)
		}
	}
	return d, nil
}
