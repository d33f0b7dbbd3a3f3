package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Report is the outcome of a load run.
type Report struct {
	Run      string `json:"run"`
	Accepted int64  `json:"accepted"`
	Failed   int64  `json:"failed"`
	// Failures counts failed messages by the code that ended them, or by connection,
	// timeout or protocol.
	Failures map[string]int64 `json:"failures,omitempty"`
	Seconds  float64          `json:"seconds"`
	// Rate is accepted messages per second.
	Rate  float64 `json:"rate"`
	Bytes int64   `json:"bytes"`
	// Latency is how long the 250 took after the final dot.
	Latency Latency `json:"latency_ms"`
}

// Latency is in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

func (l *Load) report(took time.Duration) Report {
	ms := func(q float64) float64 {
		return float64(l.latency.quantile(q).Round(time.Microsecond)) / float64(time.Millisecond)
	}
	accepted := l.accepted.Load()
	return Report{
		Run:      l.o.Run,
		Accepted: accepted,
		Failed:   l.refused.Load(),
		Failures: l.failures,
		Seconds:  took.Seconds(),
		Rate:     float64(accepted) / took.Seconds(),
		Bytes:    accepted * int64(l.o.Size),
		Latency:  Latency{P50: ms(0.5), P90: ms(0.9), P99: ms(0.99), P999: ms(0.999), Max: ms(1)},
	}
}

// String gives the report for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s messages accepted in %.2f s: %s messages/s, %s/s\n",
		humanize.Comma(r.Accepted), r.Seconds, humanize.CommafWithDigits(r.Rate, 0), humanize.Bytes(uint64(float64(r.Bytes)/r.Seconds)))
	fmt.Fprintf(&b, "250 after the final dot: p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms\n",
		r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.P999, r.Latency.Max)
	for _, name := range slices.Sorted(maps.Keys(r.Failures)) {
		fmt.Fprintf(&b, "failed, %s: %s\n", name, humanize.Comma(r.Failures[name]))
	}
	return b.String()
}
