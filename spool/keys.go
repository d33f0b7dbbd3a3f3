package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"postrider/relay"
)

// The keyspace. Numbers are big endian, so that keys sort by them.
//
//	m id                                           the message
//	b body chunk(4)                                a piece of a body
//	q route domain flow due(8) id part(4) rev(4)   a delivery in its bin
//	w route domain flow due(8) id part(4) rev(4)   a delivery that is held, outside of every bin
//	d id part(4) rev(4)                            where that delivery is: its q or w key
//	p id part(4)                                   a part number given out after arrival
//	t body                                         a draft with pieces on disk
//	x key                                          a record set aside, by the key it had
//	h id 0, h id 1 part(4) rev(4)                  the history of a message: facts, events
//	i minute(4) hash(8) id                         what a message of that minute can be found by
//	n key                                          a note of who schedules
//	o name                                         facts about the spool itself
//
// A body's id is its message's, or, where pieces had to be written before the message
// had one, its own. Rev counts the changes of a part: with it every key but those in
// n, o and x is written exactly once in the life of the spool, which SingleDelete demands.
const (
	spaceMessage    = 'm'
	spaceBody       = 'b'
	spaceQueue      = 'q'
	spaceHeld       = 'w'
	spaceDelivery   = 'd'
	spacePart       = 'p'
	spaceDraft      = 't'
	spaceQuarantine = 'x'
	spaceNote       = 'n'
	spaceHistory    = 'h'
	spaceIndex      = 'i'
	spaceSpool      = 'o'
)

// A text in a key ends with 0x00 0x01, and 0x00 inside it becomes 0x00 0xff: texts keep
// their order, and none can run into what follows.
const (
	escape     = 0x00
	escapedEnd = 0x01
	escapedNul = 0xff
)

// errKey says that a key is not one that this package makes.
var errKey = errors.New("malformed key")

func messageKey(id relay.ID) []byte { return append([]byte{spaceMessage}, id[:]...) }

func draftKey(body relay.ID) []byte { return append([]byte{spaceDraft}, body[:]...) }

func chunkKey(body relay.ID, chunk uint32) []byte { return numberedKey(spaceBody, body, chunk) }

func partKey(id relay.ID, part uint32) []byte { return numberedKey(spacePart, id, part) }

func numberedKey(space byte, id relay.ID, n uint32) []byte {
	key := make([]byte, 0, 1+len(id)+4)
	key = append(key, space)
	key = append(key, id[:]...)
	return binary.BigEndian.AppendUint32(key, n)
}

// parseNumbered reads what numberedKey made.
func parseNumbered(key []byte) (id relay.ID, n uint32, err error) {
	if len(key) != 1+len(id)+4 {
		return id, 0, errKey
	}
	return relay.ID(key[1:17]), binary.BigEndian.Uint32(key[17:]), nil
}

// idPrefix is what all keys of an id in a space begin with.
func idPrefix(space byte, id relay.ID) []byte { return append([]byte{space}, id[:]...) }

// after is the smallest key that is greater than every key with the prefix.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// place is what the key of a delivery says: its bin, when it is due, and which it is.
type place struct {
	// held says that it lies outside of its bin.
	held bool
	to   relay.Destination
	flow relay.Flow
	due  time.Time
	id   relay.DeliveryID
	rev  uint32
}

// placeTail is the length of what follows the texts in a delivery's key.
const placeTail = 8 + 16 + 4 + 4

// binPrefix is what the keys of all deliveries of a bin and flow begin with.
func binPrefix(to relay.Destination, flow relay.Flow) []byte {
	return placePrefix(spaceQueue, to, flow)
}

func placePrefix(space byte, to relay.Destination, flow relay.Flow) []byte {
	key := make([]byte, 0, 1+len(to.Route)+len(to.Domain)+len(flow)+6+placeTail)
	key = append(key, space)
	key = appendText(key, to.Route)
	key = appendText(key, to.Domain)
	return appendText(key, string(flow))
}

// afterBin is the smallest key after those of a bin and flow.
func afterBin(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	end[len(end)-1] = escapedEnd + 1
	return end
}

// placeOf is where a delivery is to lie.
func placeOf(d relay.Delivery, id relay.DeliveryID, rev uint32) place {
	return place{held: d.Held != "", to: d.To, flow: d.Flow, due: d.Due, id: id, rev: rev}
}

func (p place) key() []byte {
	space := byte(spaceQueue)
	if p.held {
		space = spaceHeld
	}
	key := placePrefix(space, p.to, p.flow)
	key = binary.BigEndian.AppendUint64(key, orderedTime(p.due))
	key = append(key, p.id.Message[:]...)
	key = binary.BigEndian.AppendUint32(key, p.id.Part)
	return binary.BigEndian.AppendUint32(key, p.rev)
}

// locationKey is the key in d under which the place is found by its id.
func (p place) locationKey() []byte {
	key := make([]byte, 0, 1+16+4+4)
	key = append(key, spaceDelivery)
	key = append(key, p.id.Message[:]...)
	key = binary.BigEndian.AppendUint32(key, p.id.Part)
	return binary.BigEndian.AppendUint32(key, p.rev)
}

// parsePlace reads the key of a delivery; prefix is the part of it that names the bin and flow.
func parsePlace(key []byte) (p place, prefix []byte, err error) {
	if len(key) == 0 || key[0] != spaceQueue && key[0] != spaceHeld {
		return p, nil, errKey
	}
	var texts [3]string
	rest := key[1:]
	for i := range texts {
		if texts[i], rest, err = cutText(rest); err != nil {
			return p, nil, err
		}
	}
	if len(rest) != placeTail {
		return p, nil, errKey
	}
	p = place{
		held: key[0] == spaceHeld,
		to:   relay.Destination{Route: texts[0], Domain: texts[1]},
		flow: relay.Flow(texts[2]),
	}
	p.readTail(rest)
	return p, key[:len(key)-placeTail], nil
}

// readTail reads what follows the texts in a delivery's key.
func (p *place) readTail(tail []byte) {
	p.due = timeOf(binary.BigEndian.Uint64(tail))
	p.id = relay.DeliveryID{Message: relay.ID(tail[8:24]), Part: binary.BigEndian.Uint32(tail[24:])}
	p.rev = binary.BigEndian.Uint32(tail[28:])
}

// parseLocation reads the id from a key in d.
func parseLocation(key []byte) (relay.DeliveryID, error) {
	if len(key) != 1+16+4+4 {
		return relay.DeliveryID{}, errKey
	}
	return relay.DeliveryID{Message: relay.ID(key[1:17]), Part: binary.BigEndian.Uint32(key[17:])}, nil
}

func appendText(key []byte, text string) []byte {
	for i := range len(text) {
		key = append(key, text[i])
		if text[i] == escape {
			key = append(key, escapedNul)
		}
	}
	return append(key, escape, escapedEnd)
}

// cutText reads a text that appendText wrote and returns what follows it.
func cutText(key []byte) (text string, rest []byte, err error) {
	var b []byte
	for {
		i := bytes.IndexByte(key, escape)
		if i < 0 || i+1 == len(key) {
			return "", nil, errKey
		}
		mark := key[i+1]
		if mark == escapedEnd && b == nil {
			return string(key[:i]), key[i+2:], nil
		}
		b = append(b, key[:i]...)
		key = key[i+2:]
		switch mark {
		case escapedEnd:
			return string(b), key, nil
		case escapedNul:
			b = append(b, escape)
		default:
			return "", nil, errKey
		}
	}
}

// noTime stands for the zero Time, which comes before every other.
const noTime = math.MinInt64

// orderedTime gives a number that sorts like the time, and timeOf reads it. A time that
// nanoseconds since 1970 cannot express becomes the nearest that they can.
func orderedTime(t time.Time) uint64 { return uint64(nanos(t)) ^ 1<<63 }

func timeOf(ordered uint64) time.Time { return fromNanos(int64(ordered ^ 1<<63)) }

func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return noTime
	case t.Before(time.Unix(0, noTime+1)):
		return noTime + 1
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == noTime {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
