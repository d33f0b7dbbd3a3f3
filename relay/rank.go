package relay

import "strings"

// rank is what deliveries of a bin compete as before it comes to whose they are: their
// priority, and whether they are fresh or tried again.
type rank uint8

// The ranks, from the most favoured to the least.
const (
	rankHigh rank = iota
	rankHighRetry
	rankNormal
	rankNormalRetry
	rankLow
	rankLowRetry

	ranks
)

// rankShares is how ranks that all have something to deliver share the slots, in recipients.
// High priority (above 0) has four times normal's share, and that four times low's; fresh mail
// four times that of retries. Nothing starves.
var rankShares = [ranks]float64{64, 16, 16, 4, 4, 1}

// retry says that the rank is of deliveries that have been attempted.
func (r rank) retry() bool { return r%2 == 1 }

func rankOf(priority int8, attempts int) rank {
	r := rankNormal
	switch {
	case priority > 0:
		r = rankHigh
	case priority < 0:
		r = rankLow
	}
	if attempts > 0 {
		r++
	}
	return r
}

// flowMark separates a flow's name from its rank. It is in no name: a user's cannot have it
// (RFC 4616 section 2), nor a domain, a network or a tag.
const flowMark = "\x00"

// Name is who the flow's mail is from: its identity without the rank.
func (f Flow) Name() string {
	name, _, _ := strings.Cut(string(f), flowMark)
	return name
}

// rank is the flow's rank.
func (f Flow) rank() rank {
	_, mark, found := strings.Cut(string(f), flowMark)
	if !found || len(mark) != 1 || mark[0] < '0' || mark[0] >= '0'+byte(ranks) {
		return rankNormal
	}
	return rank(mark[0] - '0')
}

// ranked is the flow of the same name at another rank. Deliveries of different ranks have to be
// different flows for the spool, which finds the first of each flow whatever lies before it.
func (f Flow) ranked(r rank) Flow {
	if f.rank() == r {
		return f
	}
	name := f.Name()
	if r == rankNormal {
		return Flow(name)
	}
	return Flow(name + flowMark + string(rune('0'+r)))
}

// ranked puts the delivery into the flow of its rank.
func (d *Delivery) ranked() { d.Flow = d.Flow.ranked(rankOf(d.Priority, d.Attempts)) }
