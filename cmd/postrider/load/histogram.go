package load

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets whose width grows with the duration, so that a
// quantile is exact to 1/64 from microseconds to years in 25 KB, however many are counted.
type histogram struct {
	buckets [histogramBuckets]atomic.Int64
	count   atomic.Int64
	max     atomic.Int64
}

// A bucket is found from a duration's highest 7 bits (the first is always set, so
// 64 buckets per power of two) and how many bits follow them.
const (
	histogramUnit    = time.Microsecond
	histogramBits    = 7
	histogramHalf    = 1 << (histogramBits - 1)
	histogramBuckets = (64 - histogramBits + 1) * histogramHalf
)

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.buckets[histogramIndex(uint64(d/histogramUnit))].Add(1)
	h.count.Add(1)
	for old := h.max.Load(); int64(d) > old && !h.max.CompareAndSwap(old, int64(d)); {
		old = h.max.Load()
	}
}

// quantile gives a duration that a share q of all that were counted does not exceed; 0 when
// nothing was counted.
func (h *histogram) quantile(q float64) time.Duration {
	rank := max(1, int64(q*float64(h.count.Load())+0.5))
	longest := time.Duration(h.max.Load())
	for i := range h.buckets {
		if rank -= h.buckets[i].Load(); rank <= 0 {
			return time.Duration(min(histogramTop(i)*uint64(histogramUnit), uint64(longest)))
		}
	}
	return longest
}

func histogramIndex(v uint64) int {
	shift := max(0, bits.Len64(v)-histogramBits)
	return shift*histogramHalf + int(v>>shift)
}

// histogramTop is the first value above the bucket.
func histogramTop(i int) uint64 {
	shift := max(0, i/histogramHalf-1)
	return uint64(i-shift*histogramHalf+1) << shift
}
