package relay

import (
	"fmt"
	"math"
)

// claimLooks is how many looks one after the other must find the claims wrong before that is a
// fault. Between a claim and its entry in our books, and back, there is a moment in which a look sees one
// without the other: of two books that are kept apart, only what stays is telling.
const claimLooks = 30

// claimBooks compare the claims that the spool counts with the deliveries that we hold.
type claimBooks struct {
	surplus, lack streak
}

// streak is a number that has been above zero for so many looks, and what it was at least.
type streak struct{ looks, least int }

// see takes note of a look, and says whether there have been enough that were wrong.
func (k *streak) see(n int) (least int, wrong bool) {
	if n <= 0 {
		*k = streak{}
		return 0, false
	}
	if k.looks == 0 {
		k.least = math.MaxInt
	}
	k.looks, k.least = k.looks+1, min(k.least, n)
	if k.looks < claimLooks {
		return 0, false
	}
	least = k.least
	*k = streak{} // to be told again after as many more
	return least, true
}

// compare looks at both books. A claim that nobody has is mail that nobody delivers until the next
// start; a delivery without its claim can be had by two.
func (k *claimBooks) compare(s *Scheduler) error {
	claims, waiting, held := s.countClaims()
	if n, wrong := k.surplus.see(claims - held); wrong {
		return fmt.Errorf("deliveries that have been claimed for a while by nobody: %d; a new start frees them", n)
	}
	if n, wrong := k.lack.see(waiting - claims); wrong {
		return fmt.Errorf("deliveries that have been in memory for a while without a claim: %d", n)
	}
	return nil
}

// countClaims gives the claims of the spool, how many deliveries are surely ours, and how many may be:
// those being committed and those being loaded count among these.
func (s *Scheduler) countClaims() (claims, waiting, held int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.bins {
		waiting += b.count
		held += b.count + b.away
		if b.refilling {
			held += flowBatch
		}
		for _, f := range b.flows {
			held += f.reserved
		}
	}
	return s.o.Spool.Claims(), waiting, held
}
