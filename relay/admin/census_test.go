package admin

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"postrider/relay"
)

// queuedPlaces yields places in order: so many for each of n destinations, of which every tenth
// is held.
func queuedPlaces(n, each int, now time.Time) iter.Seq2[relay.Place, error] {
	ids := relay.NewIDs(func() time.Time { return now.Add(-30 * time.Minute) }, rand.Reader)
	return func(yield func(relay.Place, error) bool) {
		for _, held := range []bool{false, true} {
			for i := range n {
				p := relay.Place{Held: held, To: relay.Destination{Route: "internet", Domain: fmt.Sprintf("d%07d.test", i)}, Due: now.Add(-time.Second)}
				count := each
				if i == n/2 {
					count = 10 * each
				}
				for k := range count {
					p.Message = ids.Next()
					if (k%10 == 9) == held && !yield(p, nil) {
						return
					}
				}
			}
		}
	}
}

// Where nothing waits the rows are an empty list, which the dashboard can count, and not null.
func TestCensusOfNothing(t *testing.T) {
	t.Parallel()
	s, err := takeCensus(func(func(relay.Place, error) bool) {}, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 3)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(text), `"rows":[]`) {
		t.Errorf("got %s, %v; want empty rows", text, err)
	}
}

func TestCensus(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, err := takeCensus(queuedPlaces(1000, 20, now), now, 3)
	if err != nil {
		t.Fatal(err)
	}
	const all = 999*20 + 200
	if s.Deliveries != all || s.Held != all/10 || s.Ages[3] != all {
		t.Errorf("%d deliveries, %d held, ages %v; want %d, %d, all under 40 minutes", s.Deliveries, s.Held, s.Ages, all, all/10)
	}
	if s.Destinations != 1000 {
		t.Errorf("%d destinations, want 1000", s.Destinations)
	}
	if len(s.Rows) != 3 {
		t.Fatalf("%d rows, want 3", len(s.Rows))
	}
	if r := s.Rows[0]; r.Destination != "internet/d0000500.test" || r.Deliveries != 200 || r.Held != 20 || r.Due != 180 || r.Ages[3] != 200 {
		t.Errorf("first %+v", r)
	}
	if want := now.Add(-30 * time.Minute); !s.Oldest.Equal(want) {
		t.Errorf("oldest %v, want %v", s.Oldest, want)
	}
}

// An error of the spool is not a small queue.
func TestCensusFails(t *testing.T) {
	t.Parallel()
	broken := func(yield func(relay.Place, error) bool) { yield(relay.Place{}, errors.New("disk")) }
	if s, err := takeCensus(broken, time.Now(), 3); err == nil {
		t.Errorf("got %+v", s)
	}
}

func BenchmarkCensus(b *testing.B) {
	now := time.Now()
	var all []relay.Place
	for p := range queuedPlaces(1000, 100, now) {
		all = append(all, p)
	}
	places := func(yield func(relay.Place, error) bool) {
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := takeCensus(places, now, destinationSeries); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(all)), "ns/place")
}
