package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"postrider/relay"
)

// The bounds of Meters.
const (
	maxMeters = 100_000
	// evictLook is how many meters are looked at to find one that can go.
	evictLook = 32
)

// Meters count how much has passed, for each key. Their memory is bounded: where there is no
// room, meters go that have been idle, and last the one that is closest to it.
type Meters struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	most    int
}

// NewMeters makes Meters that have counted nothing.
func NewMeters() *Meters { return &Meters{buckets: make(map[string]*bucket), most: maxMeters} }

// bucket has what may pass now, and fills at its rate.
type bucket struct {
	level float64
	at    time.Time
	rate  relay.Rate
}

// fill brings the bucket up to now. Its clock does not go back.
func (b *bucket) fill(now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.level = min(float64(b.rate.Count), b.level+passed.Seconds()*b.rate.PerSecond())
		b.at = now
	}
}

// maxKey is the longest key that is kept as it is, in bytes. It may be what a client wrote.
const maxKey = 128

// short gives a key in bounded space. Two have one only where they are the same.
func short(key string) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// over counts and says whether the rate does not allow that. What is over is not counted. More
// units than the rate has at all pass where none have been used, and are made up for: they would
// never pass otherwise.
func (m *Meters) over(key string, rate relay.Rate, units int, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.buckets[key]
	if b == nil || b.rate != rate {
		if b == nil && len(m.buckets) >= m.most {
			m.evict(now)
		}
		b = &bucket{level: float64(rate.Count), at: now, rate: rate}
		m.buckets[strings.Clone(key)] = b
	}
	b.fill(now)
	if b.level < min(float64(units), float64(rate.Count)) {
		return true
	}
	b.level -= float64(units)
	return false
}

// evict makes room for one: of a few at random, all that are full and else the fullest.
func (m *Meters) evict(now time.Time) {
	looked, fullest, most := 0, "", -1.0
	for key, b := range m.buckets {
		b.fill(now)
		share := b.level / float64(b.rate.Count)
		if share >= 1 {
			delete(m.buckets, key)
		} else if share > most {
			fullest, most = key, share
		}
		if looked++; looked >= evictLook {
			break
		}
	}
	if len(m.buckets) >= m.most {
		delete(m.buckets, fullest)
	}
}

// meter is a rate that a condition asks. Its name tells what it counts from what others do.
type meter struct {
	name   string
	rate   relay.Rate
	meters *Meters
	now    func() time.Time
}

// over counts one for the key.
func (m *meter) over(key string) bool {
	return m.meters.over("\x00"+m.name+short(key), m.rate, 1, m.now())
}
