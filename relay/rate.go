package relay

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is how much may happen in a time, such as 1,000 messages an hour. In no span of that
// length does more than Count happen, a tenth of it at once. The zero Rate sets no limit.
type Rate struct {
	// Count is how many of the unit, Per how long.
	Count int64
	Per   time.Duration
	// Of is what is counted.
	Of Unit
}

// Unit is what a Rate counts.
type Unit uint8

// The units of rates.
const (
	// Messages counts transactions: a message for one destination is one, whatever the number
	// of its recipients.
	Messages Unit = iota
	Recipients
	Connections
	// Bytes counts the bytes of messages, header and body.
	Bytes

	units
)

var unitWords = [units]string{"messages", "recipients", "connections", "bytes"}

// String gives the unit's word.
func (u Unit) String() string { return unitWords[u] }

// String gives what ParseRate reads: "30 messages/1m0s".
func (r Rate) String() string { return fmt.Sprintf("%d %s/%s", r.Count, r.Of, r.Per) }

// MarshalText gives what String does.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what ParseRate does.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// PerSecond is the rate that is kept up.
func (r Rate) PerSecond() float64 { return float64(r.Count) / r.Per.Seconds() }

// byteUnits are the suffixes of numbers of bytes.
var byteUnits = []struct {
	suffix string
	bytes  int64
}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}}

// maxRatePer bounds Per, so that times can be reckoned with.
const maxRatePer = 366 * 24 * time.Hour

// ParseRate reads "30/1m", "10000 recipients/1d", "5 connections/1s" or "100MB/1h": a count
// with its unit, messages where none is given, and a time.
func ParseRate(text string) (Rate, error) {
	fault := fmt.Errorf("%q is not a rate such as 30/1m, 10000 recipients/1d, 5 connections/1s or 100MB/1h", text)
	amount, per, ok := strings.Cut(text, "/")
	if !ok {
		return Rate{}, fault
	}
	r, ok := parseAmount(strings.TrimSpace(amount))
	if !ok {
		return Rate{}, fault
	}
	if r.Per, ok = parsePer(strings.TrimSpace(per)); !ok || r.Count < 1 {
		return Rate{}, fault
	}
	return r, nil
}

// parseAmount reads the count and its unit.
func parseAmount(text string) (r Rate, ok bool) {
	number, word, spaced := strings.Cut(text, " ")
	scale := int64(1)
	if !spaced {
		for _, u := range byteUnits {
			if rest, found := strings.CutSuffix(text, u.suffix); found {
				number, word, scale = rest, Bytes.String(), u.bytes
				break
			}
		}
	}
	if word != "" {
		if ok = r.Of.parse(word); !ok {
			return Rate{}, false
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > 1e15/scale {
		return Rate{}, false
	}
	r.Count = n * scale
	return r, true
}

// parse reads a unit's word, of one or of many.
func (u *Unit) parse(word string) bool {
	for i, w := range unitWords {
		if word == w || word+"s" == w {
			*u = Unit(i)
			return true
		}
	}
	return false
}

// parsePer reads a time, with d for days and the 1 of a single unit left out if one likes.
func parsePer(text string) (time.Duration, bool) {
	if text != "" && (text[0] < '0' || text[0] > '9') {
		text = "1" + text
	}
	if days, found := strings.CutSuffix(text, "d"); found {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err == nil && n > 0 && n <= 366
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d > 0 && d <= maxRatePer
}
