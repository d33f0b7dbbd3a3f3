package spool

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// The index has in i, under the minute of arrival, the hashes of what a message can be found by.

// The indexed properties of a message, the first byte of what is hashed.
const (
	indexSender    = 's'
	indexRecipient = 'r'
	indexMessageID = 'm'
)

// The index is in parts, each of the messages that arrived in one minute: a compaction has only those to
// rewrite among which new ones came. Format 2 had a part a day, by the number of the day; the bit makes all
// that are by minute sort after those.
const indexByMinute = 1 << 31

// indexPart is the length of what the keys of a part begin with, and indexSize that of a whole key in i.
const (
	indexPart = 1 + 4
	indexSize = indexPart + 8 + 16
)

func dayKey(t time.Time) []byte { return partOfIndex(sinceEpoch(t) / (24 * 60 * 60)) }

func minuteKey(t time.Time) []byte {
	return partOfIndex(min(sinceEpoch(t)/60, indexByMinute-1) | indexByMinute)
}

func sinceEpoch(t time.Time) int64 { return max(t.Unix(), 0) }

func partOfIndex(number int64) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, indexSize), spaceIndex), uint32(number))
}

// indexRange is a range of keys in i.
type indexRange struct{ lower, upper []byte }

// indexRanges are where messages that arrived between two moments are found, the latest first. No moment
// is no limit.
func indexRanges(since, until time.Time) []indexRange {
	minutes := indexRange{minuteKey(since), after([]byte{spaceIndex})}
	days := indexRange{dayKey(since), partOfIndex(indexByMinute)}
	if !until.IsZero() {
		minutes.upper, days.upper = after(minuteKey(until)), after(dayKey(until))
	}
	return []indexRange{minutes, days}
}

// indexRangesAround are wide enough for all messages that were received in between: the index goes by their
// IDs, which are made a moment later, and which go on from the latest there was when a clock is set back.
func indexRangesAround(since, until time.Time) []indexRange {
	if !until.IsZero() {
		until = until.Add(24 * time.Hour)
	}
	return indexRanges(since.Add(-time.Minute), until)
}

// partsBefore is the upper bound of a range with n parts less at its end than one with the bound has: the
// last part may have been read to its middle, and the end of the index counts from now. Nil is for none.
func partsBefore(upper []byte, n int64, now time.Time) []byte {
	if len(upper) < indexPart {
		upper = after(minuteKey(now))
	}
	number := int64(binary.BigEndian.Uint32(upper[1:]))
	if len(upper) > indexPart {
		number++
	}
	if number < n {
		return nil
	}
	return partOfIndex(number - n)
}

// indexPrefix is what the keys of all messages of a minute with the property begin with. A hash can
// be that of two texts: who finds a message compares.
func indexPrefix(arrived time.Time, property byte, text string) []byte {
	return binary.BigEndian.AppendUint64(minuteKey(arrived), indexHash(property, text))
}

// indexHash is FNV-1a over the property and the text in lower case.
func indexHash(property byte, text string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := (offset ^ uint64(property)) * prime
	text = strings.ToLower(text)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * prime
	}
	return h
}

// addIndex makes a message findable.
func (s *Spool) addIndex(b *pebble.Batch, m *relay.Message, events ...relay.Event) error {
	if !s.o.History.on() {
		return nil
	}
	arrived := m.ID.Time()
	add := func(property byte, text string) error {
		return b.Set(append(indexPrefix(arrived, property, text), m.ID[:]...), nil, nil)
	}
	err := add(indexSender, m.Envelope.Sender.String())
	for _, r := range m.Envelope.Recipients {
		err = errors.Join(err, add(indexRecipient, r.Address.String()))
	}
	for _, e := range events {
		for _, removed := range e.Removed {
			err = errors.Join(err, add(indexRecipient, removed))
		}
	}
	if id := relay.NormalMessageID(m.Field("Message-ID")); id != "" {
		err = errors.Join(err, add(indexMessageID, id))
	}
	return err
}
