package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/fxamacker/cbor/v2"

	"postrider/relay"
)

// recordVersion is the first byte of every record that this package writes. Records of
// version 1 are read too: arrays of fixed length (see recordv1.go). Those of version 2 are
// maps from small numbers, in which what is zero is left out, so that fields can be added
// without another version.
const (
	recordVersion      = 2
	recordVersionArray = 1
)

// codec encodes and decodes records. Replies are stored as the peer sent them, so texts
// need not be UTF-8.
type codec struct {
	enc cbor.UserBufferEncMode
	dec cbor.DecMode
}

func newCodec() (codec, error) {
	enc, err := cbor.EncOptions{}.UserBufferEncMode()
	if err != nil {
		return codec{}, err
	}
	dec, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: 1 << 20}.DecMode()
	if err != nil {
		return codec{}, err
	}
	return codec{enc: enc, dec: dec}, nil
}

// encode writes the version, head and the record into memory that set takes back.
func (c codec) encode(head []byte, record any) (*bytes.Buffer, error) {
	b := recordBuffers.Get().(*bytes.Buffer)
	b.Reset()
	b.WriteByte(recordVersion)
	b.Write(head)
	if err := c.enc.MarshalToBuffer(record, b); err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return b, nil
}

// messageRecords and deliveryRecords have those that were encoded for the next ones: every message needs both,
// and the encoder has them on the heap.
var (
	messageRecords  used[messageRecord]
	deliveryRecords used[deliveryRecord]
)

// used has records whose memory is free.
type used[T any] struct{ pool sync.Pool }

func (u *used[T]) take() *T {
	if r, ok := u.pool.Get().(*T); ok {
		return r
	}
	return new(T)
}

// giveBack takes a record, of which nothing stays.
func (u *used[T]) giveBack(r *T) {
	var none T
	*r = none
	u.pool.Put(r)
}

// encodeWith is encode for a record that lies in used memory meanwhile.
func encodeWith[T any](u *used[T], c codec, head []byte, record T) (*bytes.Buffer, error) {
	r := u.take()
	defer u.giveBack(r)
	*r = record
	return c.encode(head, r)
}

// recordBuffers have memory to encode records into, which set gives back. A buffer that grew
// beyond recordKept is let go.
var recordBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const recordKept = 64 << 10

// set puts a record into a batch, which has a copy then, and takes its memory back.
func set(b *pebble.Batch, key []byte, record *bytes.Buffer) error {
	err := b.Set(key, record.Bytes(), nil)
	if record.Cap() <= recordKept {
		recordBuffers.Put(record)
	}
	return err
}

// decode reads a record that has head bytes between its version and the CBOR.
func (c codec) decode(value []byte, head int, record any) error {
	if err := checkVersion(value, head); err != nil {
		return err
	}
	if err := c.dec.Unmarshal(value[1+head:], record); err != nil {
		return fmt.Errorf("%w: %w", relay.ErrCorrupt, err)
	}
	return nil
}

func checkVersion(value []byte, head int) error {
	if len(value) < 1+head {
		return fmt.Errorf("%w: %d bytes are too short", relay.ErrCorrupt, len(value))
	}
	if value[0] != recordVersion && value[0] != recordVersionArray {
		return fmt.Errorf("%w: version %d is unknown", relay.ErrCorrupt, value[0])
	}
	return nil
}

// layout is the head of a message's record, of fixed size, so that a message can be
// removed without decoding it.
type layout struct {
	body   relay.ID
	chunks uint32
	// length is that of the body in bytes.
	length int64
	// parts is greater than the number of every part that the message arrived with.
	parts uint32
}

const layoutSize = 16 + 4 + 8 + 4

func (l layout) encode() []byte {
	head := make([]byte, 0, layoutSize)
	head = append(head, l.body[:]...)
	head = binary.BigEndian.AppendUint32(head, l.chunks)
	head = binary.BigEndian.AppendUint64(head, uint64(l.length))
	return binary.BigEndian.AppendUint32(head, l.parts)
}

func decodeLayout(value []byte) (layout, error) {
	if err := checkVersion(value, layoutSize); err != nil {
		return layout{}, err
	}
	head := value[1:]
	l := layout{
		body:   relay.ID(head[:16]),
		chunks: binary.BigEndian.Uint32(head[16:]),
		length: int64(binary.BigEndian.Uint64(head[20:])),
		parts:  binary.BigEndian.Uint32(head[28:]),
	}
	if l.length < 0 || int64(l.chunks) != chunksOf(l.length) {
		return layout{}, fmt.Errorf("%w: %d chunks for a body of %d bytes", relay.ErrCorrupt, l.chunks, l.length)
	}
	return l, nil
}

// chunksOf is how many chunks a body of the length has.
func chunksOf(length int64) int64 { return (length + chunkSize - 1) / chunkSize }

// messageRecord is a message. The numbers are never given to another field.
type messageRecord struct {
	Local      string            `cbor:"1,keyasint,omitempty"`
	Domain     string            `cbor:"2,keyasint,omitempty"`
	Recipients []recipientRecord `cbor:"3,keyasint,omitempty"`
	Extensions uint8             `cbor:"4,keyasint,omitempty"`
	Return     uint8             `cbor:"5,keyasint,omitempty"`
	EnvelopeID string            `cbor:"6,keyasint,omitempty"`
	Listener   string            `cbor:"7,keyasint,omitempty"`
	Client     []byte            `cbor:"8,keyasint,omitempty"`
	Greeting   string            `cbor:"9,keyasint,omitempty"`
	User       string            `cbor:"10,keyasint,omitempty"`
	Protocol   string            `cbor:"11,keyasint,omitempty"`
	TLS        string            `cbor:"12,keyasint,omitempty"`
	Header     []byte            `cbor:"13,keyasint"`
	Size       int64             `cbor:"14,keyasint,omitempty"`
	Received   int64             `cbor:"15,keyasint,omitempty"`
	Priority   int8              `cbor:"16,keyasint,omitempty"`
	Tags       []string          `cbor:"17,keyasint,omitempty"`
	Trace      []verdictRecord   `cbor:"18,keyasint,omitempty"`
	Encryption uint8             `cbor:"19,keyasint,omitempty"`
}

type recipientRecord struct {
	Local    string `cbor:"1,keyasint,omitempty"`
	Domain   string `cbor:"2,keyasint,omitempty"`
	Notify   uint8  `cbor:"3,keyasint,omitempty"`
	Original string `cbor:"4,keyasint,omitempty"`
	Route    string `cbor:"5,keyasint,omitempty"`
}

type verdictRecord struct {
	Rule      string `cbor:"1,keyasint,omitempty"`
	Stage     string `cbor:"2,keyasint,omitempty"`
	Recipient string `cbor:"3,keyasint,omitempty"`
	Said      string `cbor:"4,keyasint,omitempty"`
}

// The bits of messageRecord.Extensions.
const (
	extensionSMTPUTF8 = 1 << iota
	extensionEightBit
	extensionRequireTLS
	extensionTLSOptional
)

func (c codec) encodeMessage(m *relay.Message, l layout) (*bytes.Buffer, error) {
	client, err := m.Origin.Client.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode client address: %w", err)
	}
	e, o := &m.Envelope, &m.Origin
	r := messageRecord{
		Local: e.Sender.Local, Domain: e.Sender.Domain,
		Recipients: make([]recipientRecord, len(e.Recipients)),
		Extensions: bit(e.SMTPUTF8, extensionSMTPUTF8) | bit(e.EightBit, extensionEightBit) |
			bit(e.RequireTLS, extensionRequireTLS) | bit(e.TLSOptional, extensionTLSOptional),
		Return: uint8(e.Return), EnvelopeID: e.EnvelopeID,
		Listener: o.Listener, Client: client, Greeting: o.Greeting,
		User: o.User, Protocol: o.Protocol, TLS: o.TLS,
		Header: m.Header, Size: m.Size, Received: nanos(m.Received),
		Priority: e.Priority, Tags: m.Tags, Encryption: uint8(e.Encryption),
	}
	for i, to := range e.Recipients {
		r.Recipients[i] = recipientRecord{
			Local: to.Address.Local, Domain: to.Address.Domain,
			Notify: uint8(to.Notify), Original: to.Original, Route: to.Route,
		}
	}
	for _, v := range m.Trace {
		r.Trace = append(r.Trace, verdictRecord(v))
	}
	return encodeWith(&messageRecords, c, l.encode(), r)
}

func (c codec) decodeMessage(id relay.ID, value []byte) (*relay.Message, layout, error) {
	l, err := decodeLayout(value)
	if err != nil {
		return nil, l, err
	}
	var r messageRecord
	if value[0] == recordVersionArray {
		r, err = c.decodeMessageArray(value)
	} else {
		err = c.decode(value, layoutSize, &r)
	}
	if err != nil {
		return nil, l, err
	}
	var client netip.Addr
	if err := client.UnmarshalBinary(r.Client); err != nil {
		return nil, l, fmt.Errorf("%w: client address: %w", relay.ErrCorrupt, err)
	}
	m := &relay.Message{
		ID: id,
		Envelope: relay.Envelope{
			Sender:     relay.Address{Local: r.Local, Domain: r.Domain},
			Recipients: make([]relay.Recipient, len(r.Recipients)),
			SMTPUTF8:   r.Extensions&extensionSMTPUTF8 != 0,
			EightBit:   r.Extensions&extensionEightBit != 0,
			RequireTLS: r.Extensions&extensionRequireTLS != 0, TLSOptional: r.Extensions&extensionTLSOptional != 0,
			Return: relay.Return(r.Return), EnvelopeID: r.EnvelopeID, Priority: r.Priority,
			Encryption: relay.Encryption(r.Encryption),
		},
		Origin: relay.Origin{
			Listener: r.Listener, Client: client, Greeting: r.Greeting,
			User: r.User, Protocol: r.Protocol, TLS: r.TLS,
		},
		Header: r.Header, Size: r.Size, Received: fromNanos(r.Received),
	}
	if len(r.Tags) > 0 {
		m.Tags = r.Tags
	}
	for i, to := range r.Recipients {
		m.Envelope.Recipients[i] = relay.Recipient{
			Address:  relay.Address{Local: to.Local, Domain: to.Domain},
			Notify:   relay.Notify(to.Notify),
			Original: to.Original,
			Route:    to.Route,
		}
	}
	for _, v := range r.Trace {
		m.Trace = append(m.Trace, relay.Verdict(v))
	}
	return m, l, nil
}

func bit(on bool, b uint8) uint8 {
	if on {
		return b
	}
	return 0
}

// deliveryRecord is a delivery; its key says the rest. The numbers are never given to
// another field.
type deliveryRecord struct {
	Recipients []int  `cbor:"1,keyasint"`
	Flags      uint8  `cbor:"2,keyasint,omitempty"`
	Attempts   int    `cbor:"3,keyasint,omitempty"`
	Code       int    `cbor:"4,keyasint,omitempty"`
	Enhanced   []int  `cbor:"5,keyasint,omitempty"`
	Text       string `cbor:"6,keyasint,omitempty"`
	Class      string `cbor:"7,keyasint,omitempty"`
	Priority   int8   `cbor:"8,keyasint,omitempty"`
	Held       string `cbor:"9,keyasint,omitempty"`
	HeldSince  int64  `cbor:"10,keyasint,omitempty"`
	Suspended  int64  `cbor:"11,keyasint,omitempty"`
	Route      string `cbor:"12,keyasint,omitempty"`
}

// The bits of deliveryRecord.Flags.
const (
	flagSole = 1 << iota
	flagWarned
	flagReleased
)

func (c codec) encodeDelivery(d relay.Delivery) (*bytes.Buffer, error) {
	r := deliveryRecord{
		Recipients: d.Recipients,
		Flags:      bit(d.Sole, flagSole) | bit(d.Warned, flagWarned) | bit(d.Released, flagReleased),
		Attempts:   d.Attempts,
		Code:       d.Last.Code,
		Text:       d.Last.Text,
		Class:      d.Last.Class.String(),
		Priority:   d.Priority,
		Held:       d.Held,
		Suspended:  int64(d.Suspended),
		Route:      d.Route,
	}
	if !d.HeldSince.IsZero() {
		r.HeldSince = nanos(d.HeldSince)
	}
	if d.Last.Enhanced != (relay.EnhancedCode{}) {
		r.Enhanced = d.Last.Enhanced[:]
	}
	return encodeWith(&deliveryRecords, c, nil, r)
}

func (c codec) decodeDelivery(p place, value []byte) (relay.Delivery, error) {
	r, err := c.decodeDeliveryRecord(value)
	if err != nil {
		return relay.Delivery{}, err
	}
	for _, n := range r.Recipients {
		if n < 0 {
			return relay.Delivery{}, fmt.Errorf("%w: recipient %d", relay.ErrCorrupt, n)
		}
	}
	d := relay.Delivery{
		DeliveryID: p.id, To: p.to, Flow: p.flow, Due: p.due,
		Recipients: r.Recipients,
		Sole:       r.Flags&flagSole != 0,
		Warned:     r.Flags&flagWarned != 0,
		Attempts:   r.Attempts,
		Last:       relay.Reply{Code: r.Code, Text: r.Text},
		Priority:   r.Priority,
		Held:       r.Held,
		Suspended:  time.Duration(r.Suspended),
		Released:   r.Flags&flagReleased != 0,
		Route:      r.Route,
	}
	if r.HeldSince != 0 {
		d.HeldSince = fromNanos(r.HeldSince)
	}
	copy(d.Last.Enhanced[:], r.Enhanced)
	// A class that a newer program knows and this one does not is none.
	_ = d.Last.Class.UnmarshalText([]byte(r.Class))
	return d, nil
}

func (c codec) decodeDeliveryRecord(value []byte) (r deliveryRecord, err error) {
	if len(value) > 0 && value[0] == recordVersionArray {
		return c.decodeDeliveryArray(value)
	}
	err = c.decode(value, 0, &r)
	return r, err
}

// quarantineRecord is a record that was set aside, as it was.
type quarantineRecord struct {
	_      struct{} `cbor:",toarray"`
	Reason string
	At     int64
	Raw    []byte
}
