package tlsrpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// dayVersion is the format of a day's file.
	dayVersion = 1
	// maxDomains bounds the domains of a day; those that come later are not reported on.
	maxDomains = 50_000
	// maxPolicies and maxFailures bound what is told apart for a domain; beyond them sessions are
	// counted without the particulars.
	maxPolicies = 32
	maxFailures = 64
	// dayLayout is how a day is named.
	dayLayout = "2006-01-02"
)

// Day counts the sessions of one day, by domain.
type Day struct {
	Version int                `json:"version"`
	Domains map[string]*Counts `json:"domains"`
}

// Counts is what one day brought for one domain.
type Counts struct {
	Policies []*Tally `json:"policies"`
	// Sent are the addresses that have the report already.
	Sent []string `json:"sent,omitempty"`
}

// Tally counts the sessions under one policy.
type Tally struct {
	Policy    Policy    `json:"policy"`
	Successes int64     `json:"successes"`
	Failures  int64     `json:"failures"`
	Details   []*Detail `json:"details,omitempty"`
}

// Detail counts the failures of one kind with one peer.
type Detail struct {
	Failure Failure `json:"failure"`
	Count   int64   `json:"count"`
}

func newDay() *Day { return &Day{Version: dayVersion, Domains: make(map[string]*Counts)} }

// add counts a session.
func (d *Day) add(s Session) {
	counts := d.Domains[s.Domain]
	if counts == nil {
		if len(d.Domains) >= maxDomains {
			return
		}
		counts = new(Counts)
		d.Domains[s.Domain] = counts
	}
	tally := counts.tally(s.Policy)
	if s.Failure.Type == "" {
		tally.Successes++
		return
	}
	tally.Failures++
	tally.detail(s.Failure).Count++
}

// tally finds the count for a policy. One policy too many is counted with the last.
func (c *Counts) tally(p Policy) *Tally {
	i := slices.IndexFunc(c.Policies, func(t *Tally) bool { return t.Policy.equal(p) })
	if i < 0 && len(c.Policies) >= maxPolicies {
		i = len(c.Policies) - 1
	}
	if i < 0 {
		c.Policies = append(c.Policies, &Tally{Policy: p})
		i = len(c.Policies) - 1
	}
	return c.Policies[i]
}

func (p Policy) equal(other Policy) bool {
	return p.Type == other.Type && p.Domain == other.Domain &&
		slices.Equal(p.Strings, other.Strings) && slices.Equal(p.Hosts, other.Hosts)
}

// detail finds the count for a failure. Where there are too many the peer is left out.
func (t *Tally) detail(f Failure) *Detail {
	find := func(f Failure) *Detail {
		i := slices.IndexFunc(t.Details, func(d *Detail) bool { return d.Failure == f })
		if i < 0 {
			return nil
		}
		return t.Details[i]
	}
	d := find(f)
	if d == nil && len(t.Details) >= maxFailures {
		f = Failure{Type: f.Type}
		d = find(f)
	}
	if d == nil {
		d = &Detail{Failure: f}
		t.Details = append(t.Details, d)
	}
	return d
}

// parseDay reads a day's file.
func parseDay(text []byte) (*Day, error) {
	d := newDay()
	if err := json.Unmarshal(text, d); err != nil {
		return nil, err
	}
	if d.Version != dayVersion {
		return nil, fmt.Errorf("version %d is unknown", d.Version)
	}
	for domain, counts := range d.Domains {
		if counts == nil || slices.Contains(counts.Policies, nil) {
			return nil, fmt.Errorf("nothing is counted for %q", domain)
		}
		for _, t := range counts.Policies {
			if slices.Contains(t.Details, nil) {
				return nil, errors.New("a detail says nothing")
			}
		}
	}
	if d.Domains == nil {
		d.Domains = make(map[string]*Counts)
	}
	return d, nil
}

// startOf is the first moment of the day that t is in, in UTC.
func startOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
