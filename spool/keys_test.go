package spool

import (
	"bytes"
	"cmp"
	"math"
	"testing"
	"time"

	"postrider/relay"
)

// compare orders places as their keys must.
func compare(a, b place) int {
	return cmp.Or(
		cmp.Compare(a.to.Route, b.to.Route),
		cmp.Compare(a.to.Domain, b.to.Domain),
		cmp.Compare(a.flow, b.flow),
		a.due.Compare(b.due),
		bytes.Compare(a.id.Message[:], b.id.Message[:]),
		cmp.Compare(a.id.Part, b.id.Part),
		cmp.Compare(a.rev, b.rev))
}

func FuzzPlaceOrder(f *testing.F) {
	f.Add("internet", "a.example", "flow", int64(1), uint32(0), "internet", "a.example", "flow", int64(2), uint32(0))
	f.Add("a", "", "", int64(-1), uint32(1), "a\x00", "\x01", "\xff", int64(0), uint32(2))
	f.Add("", "\x00", "\x00\x01", int64(math.MaxInt64), uint32(1), "", "\x00\xff", "", int64(math.MinInt64+1), uint32(1))
	f.Fuzz(func(t *testing.T, r1, d1, f1 string, due1 int64, n1 uint32, r2, d2, f2 string, due2 int64, n2 uint32) {
		a := place{to: relay.Destination{Route: r1, Domain: d1}, flow: relay.Flow(f1), due: fromNanos(due1), id: relay.DeliveryID{Part: n1}, rev: n2}
		b := place{to: relay.Destination{Route: r2, Domain: d2}, flow: relay.Flow(f2), due: fromNanos(due2), id: relay.DeliveryID{Part: n2}, rev: n1}
		for _, p := range []place{a, b} {
			got, prefix, err := parsePlace(p.key())
			if err != nil || compare(got, p) != 0 {
				t.Errorf("got %+v, %v, want %+v", got, err, p)
			}
			if want := binPrefix(p.to, p.flow); !bytes.Equal(prefix, want) {
				t.Errorf("got prefix %x, want %x", prefix, want)
			}
		}
		if got, want := bytes.Compare(a.key(), b.key()), compare(a, b); got != want {
			t.Errorf("keys of %+v and %+v: got order %d, want %d", a, b, got, want)
		}
		end := afterBin(binPrefix(a.to, a.flow))
		if bytes.Compare(a.key(), end) >= 0 {
			t.Errorf("key %x is not before the end of its bin %x", a.key(), end)
		}
		if a.to != b.to || a.flow != b.flow {
			inside := bytes.Compare(b.key(), binPrefix(a.to, a.flow)) >= 0 && bytes.Compare(b.key(), end) < 0
			if inside {
				t.Errorf("key %x is inside another bin", b.key())
			}
		}
	})
}

func FuzzParsePlace(f *testing.F) {
	f.Add(place{to: relay.Destination{Route: "a\x00b"}, flow: "f"}.key())
	f.Add([]byte("q"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, key []byte) {
		p, _, err := parsePlace(key)
		if err == nil && !bytes.Equal(p.key(), key) {
			t.Errorf("%x was read as %+v, whose key is %x", key, p, p.key())
		}
	})
}

func TestAfter(t *testing.T) {
	t.Parallel()
	tests := []struct{ prefix, want []byte }{
		{[]byte("a"), []byte("b")},
		{[]byte("a\xff"), []byte("b")},
		{[]byte("a\xff\x00"), []byte("a\xff\x01")},
		{[]byte("\xff\xff"), nil},
	}
	for _, tt := range tests {
		if got := after(tt.prefix); !bytes.Equal(got, tt.want) {
			t.Errorf("after %x: got %x, want %x", tt.prefix, got, tt.want)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want time.Time }{
		{time.Time{}, time.Time{}},
		{time.Unix(0, 0), time.Unix(0, 0)},
		{time.Unix(-5, 7), time.Unix(-5, 7)},
		{time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Unix(0, math.MinInt64+1)},
		{time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, math.MaxInt64)},
	}
	var last uint64
	for i, tt := range tests {
		if got := fromNanos(nanos(tt.in)); !got.Equal(tt.want) {
			t.Errorf("%v: got %v, want %v", tt.in, got, tt.want)
		}
		if i == 0 {
			last = orderedTime(tt.in)
		} else if orderedTime(tt.in) <= last {
			t.Errorf("%v does not come after the zero time", tt.in)
		}
	}
}
