package spool

import (
	"encoding/hex"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"postrider/relay"
)

// golden are records as version 1 writes them. They are never changed: a program that cannot
// read them would set aside every message that is queued when it is installed.
const (
	goldenMessage  = "0103000000000000000000000000000000000000020000000000020001000000048f61736b6578616d706c652e636f6d818461726b6578616d706c652e6e657404687266633832323b6f07026165616c44c0000201616761756745534d5450534167544c5376312e3348413a20620d0a0d0a091b000000012a05f206"
	goldenDelivery = "0186820019012c03031901c383040302626e6f"
)

func TestGoldenRecords(t *testing.T) {
	t.Parallel()
	c := testCodec(t)
	id := relay.ID{1, 2}
	l := layout{body: relay.ID{3}, chunks: 2, length: chunkSize + 1, parts: 4}
	m := &relay.Message{
		ID: id,
		Envelope: relay.Envelope{
			Sender:     relay.Address{Local: "s", Domain: "example.com"},
			Recipients: []relay.Recipient{{Address: relay.Address{Local: "r", Domain: "example.net"}, Notify: relay.NotifyFailure, Original: "rfc822;o"}},
			SMTPUTF8:   true, EightBit: true, RequireTLS: true, Return: relay.ReturnHeaders, EnvelopeID: "e",
		},
		Origin: relay.Origin{Listener: "l", Client: netip.MustParseAddr("192.0.2.1"), Greeting: "g", User: "u", Protocol: "ESMTPSA", TLS: "TLSv1.3"},
		Header: []byte("A: b\r\n\r\n"), Size: 9, Received: time.Unix(5, 6).UTC(),
	}
	p := place{to: relay.Destination{Route: "r"}, flow: "f", due: time.Unix(7, 0).UTC(), id: relay.DeliveryID{Message: id, Part: 1}}
	d := relay.Delivery{
		DeliveryID: p.id, To: p.to, Flow: p.flow, Due: p.due, Recipients: []int{0, 300}, Sole: true, Warned: true, Attempts: 3,
		Last: relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 3, 2}, Text: "no"},
	}
	gotM, gotL, err := c.decodeMessage(id, unhex(t, goldenMessage))
	if err != nil || gotL != l || !reflect.DeepEqual(gotM, m) {
		now, _ := c.encodeMessage(m, l)
		t.Errorf("message: got %+v, %+v, %v\nwritten now: %x", gotM, gotL, err, now)
	}
	gotD, err := c.decodeDelivery(p, unhex(t, goldenDelivery))
	if err != nil || !reflect.DeepEqual(gotD, d) {
		now, _ := c.encodeDelivery(d)
		t.Errorf("delivery: got %+v, %v\nwritten now: %x", gotD, err, now)
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Error(err)
	}
	return b
}
