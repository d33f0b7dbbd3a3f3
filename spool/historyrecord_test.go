package spool

import (
	"errors"
	"reflect"
	"testing"

	"postrider/relay"
)

func FuzzFactsRecord(f *testing.F) {
	c := testCodec(f)
	id := relay.ID{1}
	seed, err := c.encodeFacts(relay.Facts{Sender: "a@example.com", Recipients: []string{"b"}, Tags: []string{"t"}, Trace: []relay.Verdict{{Rule: "r"}}, Size: 9}, []relay.Event{{What: "delivered"}})
	if err != nil {
		f.Fatal(err)
	}
	addPrefixes(f, seed.Bytes())
	f.Fuzz(func(t *testing.T, value []byte) {
		facts, events, err := c.decodeFacts(id, value)
		if err != nil {
			if !errors.Is(err, relay.ErrCorrupt) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
			return
		}
		if _, err := c.encodeFacts(facts, events); err != nil {
			t.Errorf("encode what was read: %v", err)
		}
	})
}

func FuzzEventsRecord(f *testing.F) {
	c := testCodec(f)
	want := []relay.Event{{What: "delivered", Recipients: []int{0, 3}, Reply: relay.Reply{Code: 250, Enhanced: relay.EnhancedCode{2, 0, 0}, Text: "Ok"}, Attempts: 2}}
	seed, err := c.encodeEvents(want)
	if err != nil {
		f.Fatal(err)
	}
	if got, err := c.decodeEvents(seed.Bytes()); err != nil || !reflect.DeepEqual(got, want) {
		f.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
	addPrefixes(f, seed.Bytes())
	f.Fuzz(func(t *testing.T, value []byte) {
		events, err := c.decodeEvents(value)
		if err != nil {
			if !errors.Is(err, relay.ErrCorrupt) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
			return
		}
		if _, err := c.encodeEvents(events); err != nil {
			t.Errorf("encode what was read: %v", err)
		}
	})
}
