package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramQuantile(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() time.Duration{
		"uniform":     func() time.Duration { return time.Duration(rng.Int64N(int64(time.Second))) },
		"exponential": func() time.Duration { return time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond)) },
		"hours":       func() time.Duration { return time.Hour + time.Duration(rng.Int64N(int64(time.Hour))) },
	} {
		var h histogram
		var all []time.Duration
		for range 10_000 {
			d := draw()
			h.add(d)
			all = append(all, d)
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
			want := all[int(q*float64(len(all)))-1]
			got := h.quantile(q)
			if got < want || float64(got-want) > float64(want)/histogramHalf+float64(histogramUnit) {
				t.Errorf("%s: quantile %v is %v, want %v", name, q, got, want)
			}
		}
	}
}

func TestHistogramEnds(t *testing.T) {
	t.Parallel()
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("empty: got %v, want 0", got)
	}
	h.add(-time.Second)
	h.add(1<<63 - 1)
	if got := h.quantile(1); got != 1<<63-1 {
		t.Errorf("longest: got %v", got)
	}
}
