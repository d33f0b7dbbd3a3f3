package spool

import (
	"encoding/hex"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"postrider/relay"
)

// golden are records as versions 1 and 2 write them. They are never changed: a program that
// cannot read them would set aside every message that is queued when it is installed.
const (
	goldenMessage1  = "0103000000000000000000000000000000000000020000000000020001000000048f61736b6578616d706c652e636f6d818461726b6578616d706c652e6e657404687266633832323b6f07026165616c44c0000201616761756745534d5450534167544c5376312e3348413a20620d0a0d0a091b000000012a05f206"
	goldenDelivery1 = "0186820019012c03031901c383040302626e6f"
	goldenMessage2  = "020300000000000000000000000000000000000002000000000002000100000004b2016173026b6578616d706c652e636f6d0381a4016172026b6578616d706c652e6e6574030404687266633832323b6f0407050206616507616c0844c00002010961670a61750b6745534d545053410c67544c5376312e330d48413a20620d0a0d0a0e090f1b000000012a05f2061022118161741281a4016172026472637074036d72406578616d706c652e6e6574046468656c64"
	goldenDelivery2 = "02a901820019012c02030303041901c3058304030206626e6f076571756f74610804096a6c6f6f6b206174206974"
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
	golden := func(version, message, delivery string) {
		gotM, gotL, err := c.decodeMessage(id, unhex(t, message))
		if err != nil || gotL != l || !reflect.DeepEqual(gotM, m) {
			now, _ := c.encodeMessage(m, l)
			t.Errorf("message of version %s: got %+v, %+v, %v\nwritten now: %x", version, gotM, gotL, err, now.Bytes())
		}
		gotD, err := c.decodeDelivery(p, unhex(t, delivery))
		if err != nil || !reflect.DeepEqual(gotD, d) {
			now, _ := c.encodeDelivery(d)
			t.Errorf("delivery of version %s: got %+v, %v\nwritten now: %x", version, gotD, err, now.Bytes())
		}
	}
	golden("1", goldenMessage1, goldenDelivery1)
	m.Envelope.Priority, m.Tags = -3, []string{"t"}
	m.Trace = []relay.Verdict{{Rule: "r", Stage: "rcpt", Recipient: "r@example.net", Said: "held"}}
	d.Priority, d.Last.Class, d.Held = 4, relay.ClassQuota, "look at it"
	golden("2", goldenMessage2, goldenDelivery2)
}

// A record of a newer program may have fields that this one does not know.
func TestRecordGrows(t *testing.T) {
	t.Parallel()
	c := testCodec(t)
	value, err := c.encode(nil, map[int]any{1: []int{5}, 3: 2, 7: "a class of tomorrow", 99: "tomorrow"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.decodeDelivery(place{}, value.Bytes())
	if want := (relay.Delivery{Recipients: []int{5}, Attempts: 2}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
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

// The history of before an upgrade is read after it.
const (
	goldenFacts  = "02ad011b000000012a05f2060261730381617204616d05616a060907616c08693139322e302e322e310961750a8161740b81a301617202646461746104626e6f0c81616b0d81ae011b000000012a05f2060267626f756e63656403820019012c04190226058305010106626e6f07647573657208626d7809020a070b080c61610d61720e816178"
	goldenEvents = "0281ae011b000000012a05f2060267626f756e63656403820019012c04190226058305010106626e6f07647573657208626d7809020a070b080c61610d61720e816178"
)

func TestGoldenHistory(t *testing.T) {
	t.Parallel()
	c := testCodec(t)
	events := []relay.Event{{
		At: time.Unix(5, 6).UTC(), What: "bounced", Recipients: []int{0, 300}, Removed: []string{"x"}, Host: "mx", Attempts: 2,
		Reply:   relay.Reply{Code: 550, Enhanced: relay.EnhancedCode{5, 1, 1}, Text: "no", Class: relay.ClassUser},
		Connect: 7, Transmit: 8, Author: "a", Reason: "r",
	}}
	facts := relay.Facts{
		ID: relay.ID{1}, Received: time.Unix(5, 6).UTC(), Sender: "s", Recipients: []string{"r"}, MessageID: "m", Subject: "j",
		Size: 9, Listener: "l", Client: "192.0.2.1", User: "u", Tags: []string{"t"},
		Trace: []relay.Verdict{{Rule: "r", Stage: "data", Said: "no"}}, Signatures: []string{"k"},
	}
	gotFacts, gotEnd, err := c.decodeFacts(facts.ID, unhex(t, goldenFacts))
	if err != nil || !reflect.DeepEqual(gotFacts, facts) || !reflect.DeepEqual(gotEnd, events) {
		now, _ := c.encodeFacts(facts, events)
		t.Errorf("facts: got %+v, %+v, %v\nwritten now: %x", gotFacts, gotEnd, err, now.Bytes())
	}
	gotEvents, err := c.decodeEvents(unhex(t, goldenEvents))
	if err != nil || !reflect.DeepEqual(gotEvents, events) {
		now, _ := c.encodeEvents(events)
		t.Errorf("events: got %+v, %v\nwritten now: %x", gotEvents, err, now.Bytes())
	}
}
