package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ID names a message for its whole life and is never reused. It is a ULID: 48 bits of
// Unix milliseconds, then 80 random bits, so IDs sort by time of arrival.
type ID [16]byte

// ulidAlphabet is Crockford's base 32, as ULID prescribes.
const ulidAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// errBadID says that a text is not the 26 characters of a ULID.
var errBadID = errors.New("not a queue id: want 26 characters of 0-9 and A-Z without I, L, O, U")

// String gives the 26 character form that clients, logs and commands show.
func (id ID) String() string {
	var text [26]byte
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = ulidAlphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(text[:])
}

// ParseID reads the 26 character form, in either case.
func ParseID(text string) (ID, error) {
	if len(text) != 26 {
		return ID{}, errBadID
	}
	var hi, lo uint64
	for i := range len(text) {
		v := ulidValue(text[i])
		if v < 0 || i == 0 && v > 7 {
			return ID{}, fmt.Errorf("%q: %w", text, errBadID)
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	var id ID
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id, nil
}

func ulidValue(c byte) int {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	for i := range len(ulidAlphabet) {
		if ulidAlphabet[i] == c {
			return i
		}
	}
	return -1
}

// Time is the moment of arrival that the ID carries, to the millisecond.
func (id ID) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16))
}

// IDAt is the smallest ID of the given moment: the bound for scans by age.
func IDAt(t time.Time) ID {
	var id ID
	binary.BigEndian.PutUint64(id[:8], uint64(max(t.UnixMilli(), 0))<<16)
	return id
}

// lastID is the greatest ID.
func lastID() ID {
	var id ID
	for i := range id {
		id[i] = 0xff
	}
	return id
}

// IDs makes new IDs. Those of one source are strictly increasing, also within one
// millisecond and when the clock steps back. Safe for use by several goroutines.
type IDs struct {
	now  func() time.Time
	rand io.Reader

	mu   sync.Mutex
	last ID
}

// NewIDs returns a source that takes time from now and chance from rand. Should rand fail,
// IDs are still unique within the process, only no longer hard to guess.
func NewIDs(now func() time.Time, rand io.Reader) *IDs {
	return &IDs{now: now, rand: rand}
}

// Next returns an ID greater than every one before it.
func (s *IDs) Next() ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := IDAt(s.now())
	if _, err := io.ReadFull(s.rand, id[6:]); err != nil {
		id = IDAt(s.now())
	}
	if string(id[:]) <= string(s.last[:]) || string(id[:6]) == string(s.last[:6]) {
		id = s.last.successor()
	}
	s.last = id
	return id
}

func (id ID) successor() ID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]++
		if id[i] != 0 {
			break
		}
	}
	return id
}
