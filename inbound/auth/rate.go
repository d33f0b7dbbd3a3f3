package auth

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of things in a time; the zero Rate is none given.
type Rate struct {
	N   int
	Per time.Duration
}

// ParseRate reads a rate such as 1000/1h, 10/s or 5000/day.
func ParseRate(text string) (Rate, error) {
	fault := fmt.Errorf("%q is not a rate such as 1000/1h", text)
	count, per, ok := strings.Cut(text, "/")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if !ok || err != nil || n < 1 {
		return Rate{}, fault
	}
	d, err := parsePeriod(strings.TrimSpace(per))
	if err != nil || d <= 0 {
		return Rate{}, fault
	}
	return Rate{N: n, Per: d}, nil
}

func parsePeriod(text string) (time.Duration, error) {
	switch text {
	case "s", "second":
		return time.Second, nil
	case "m", "minute":
		return time.Minute, nil
	case "h", "hour":
		return time.Hour, nil
	case "d", "1d", "day":
		return 24 * time.Hour, nil
	}
	return time.ParseDuration(text)
}

// IsZero says that no rate was given.
func (r Rate) IsZero() bool { return r.N == 0 }

// String gives the rate as ParseRate reads it.
func (r Rate) String() string {
	if r.IsZero() {
		return ""
	}
	per := r.Per.String()
	for _, zero := range []string{"m0s", "h0m"} { // 1h0m0s is 1h
		if strings.HasSuffix(per, zero) {
			per = strings.TrimSuffix(per, zero[1:])
		}
	}
	return strconv.Itoa(r.N) + "/" + per
}

// level is a counter that runs empty at a rate: what is in it is what counts now.
type level struct {
	amount float64
	at     time.Time
}

// drained gives the level as it is now.
func (l level) drained(r Rate, now time.Time) level {
	if gone := now.Sub(l.at); gone > 0 {
		l.amount = max(0, l.amount-float64(r.N)*gone.Seconds()/r.Per.Seconds())
		l.at = now
	}
	return l
}

// full says whether one more would be more than the rate allows.
func (l level) full(r Rate) bool { return l.amount+1 > float64(r.N) }
