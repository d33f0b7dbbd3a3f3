package inbound

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// TestLongLineMemory swallows a line of 16 MB with what the buffer holds. It counts
// allocations, so it does not run in parallel.
func TestLongLineMemory(t *testing.T) {
	line := strings.NewReader(strings.Repeat("x", 16<<20) + "\r\nNOOP\r\n")
	w := &wire{in: bufio.NewReaderSize(line, bufferSize), now: time.Now}
	allocs := testing.AllocsPerRun(1, func() {
		line.Seek(0, io.SeekStart)
		w.in.Reset(line)
		if _, err := w.readLine(4096); !errors.Is(err, errLineTooLong) {
			t.Errorf("got %v, want %v", err, errLineTooLong)
		}
		if next, err := w.readLine(4096); string(next) != "NOOP" || err != nil {
			t.Errorf("got %q, %v behind it", next, err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	began := time.Unix(1000, 0)
	limits := Limits{Idle: time.Minute, DataMinRate: 100, DataTotal: time.Hour}
	for _, test := range []struct {
		name     string
		received int64
		after    time.Duration // how long it has been going on
		want     time.Duration // until when it may, from its beginning
	}{
		{"begin", 0, 0, time.Minute},
		{"nothing yet", 0, 30 * time.Second, time.Minute},
		{"at the rate", 6000, time.Minute, 2 * time.Minute},
		{"under the rate", 3000, time.Minute, 90 * time.Second},
		{"ahead, then silent", 1 << 30, 10 * time.Second, 70 * time.Second},
		{"near the end", 1 << 30, time.Hour - time.Second, time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := &pace{began: began, received: test.received}
			if got := p.next(began.Add(test.after), limits).Sub(began); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
