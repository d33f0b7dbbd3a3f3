package spool

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"postrider/relay"
)

func testCodec(tb testing.TB) codec {
	tb.Helper()
	c, err := newCodec()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// addPrefixes seeds with a record and whatever a torn one could be.
func addPrefixes(f *testing.F, record []byte) {
	for i := range len(record) + 1 {
		f.Add(record[:i])
	}
}

// FuzzMessageRecord feeds the decoder anything. What it accepts it must write the same way.
func FuzzMessageRecord(f *testing.F) {
	c := testCodec(f)
	id := relay.ID{1}
	m := &relay.Message{ID: id, Header: []byte("A: b\r\n\r\n"), Envelope: relay.Envelope{Recipients: []relay.Recipient{{Original: "rfc822;x"}}}}
	seed, err := c.encodeMessage(m, layout{body: id, chunks: 2, length: chunkSize + 1, parts: 1})
	if err != nil {
		f.Fatal(err)
	}
	addPrefixes(f, seed.Bytes())
	f.Fuzz(func(t *testing.T, value []byte) {
		m, l, err := c.decodeMessage(id, value)
		if err != nil {
			if !errors.Is(err, relay.ErrCorrupt) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
			return
		}
		again, err := c.encodeMessage(m, l)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		if m2, l2, err := c.decodeMessage(id, again.Bytes()); err != nil || l2 != l || !reflect.DeepEqual(m, m2) {
			t.Errorf("got %+v, %+v, %v, want %+v, %+v", m2, l2, err, m, l)
		}
	})
}

func FuzzDeliveryRecord(f *testing.F) {
	c := testCodec(f)
	p := place{to: relay.Destination{Route: "r"}, flow: "f"}
	seed, err := c.encodeDelivery(relay.Delivery{Recipients: []int{0, 300}, Sole: true, Attempts: 7, Last: relay.Reply{Code: 451, Text: "no\xff"}})
	if err != nil {
		f.Fatal(err)
	}
	addPrefixes(f, seed.Bytes())
	f.Fuzz(func(t *testing.T, value []byte) {
		d, err := c.decodeDelivery(p, value)
		if err != nil {
			if !errors.Is(err, relay.ErrCorrupt) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
			return
		}
		again, err := c.encodeDelivery(d)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		if d2, err := c.decodeDelivery(p, again.Bytes()); err != nil || !reflect.DeepEqual(d, d2) {
			t.Errorf("got %+v, %v, want %+v", d2, err, d)
		}
	})
}

func TestQuarantineRecord(t *testing.T) {
	t.Parallel()
	c := testCodec(t)
	want := quarantineRecord{Reason: "why", At: 5, Raw: []byte{0, 1, 2}}
	value, err := c.encode(nil, &want)
	if err != nil {
		t.Fatal(err)
	}
	var got quarantineRecord
	if err := c.decode(value.Bytes(), 0, &got); err != nil || got.Reason != want.Reason || got.At != want.At || !bytes.Equal(got.Raw, want.Raw) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}
