package relay_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// books gives what the watch has said of claims.
func (r *rig) books() (all []string) {
	for _, f := range r.observer.AllFaults() {
		if f.Doing == "keep count of claims" {
			all = append(all, f.Err.Error())
		}
	}
	return all
}

// A claim that nobody has is reported once it has been so for minutes, and not while mail comes and goes.
func TestClaimThatNobodyHas(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.fill(t)
		lost := r.send(t, "ann@one.example", "a@site.test")
		r.build(t)
		if ds, err := r.spool.ClaimMessage(context.Background(), lost); err != nil || len(ds) != 1 {
			t.Fatalf("claim: %v, %v", ds, err)
		}
		r.run()
		defer r.stop()
		for range 100 {
			r.send(t, "bob@one.example", "b@site.test")
			after(time.Second)
		}
		if said := r.books(); len(said) != 0 {
			t.Errorf("too early: %q", said)
		}
		after(10 * time.Minute)
		said := r.books()
		if len(said) != 2 || !strings.Contains(said[0], "by nobody: 1;") {
			t.Errorf("said %q, want it twice in twelve minutes", said)
		}
	})
}

// forgetful spools lose claims.
type forgetful struct{ relay.Spool }

func (forgetful) Claims() int { return 0 }

// A delivery that waits in memory though the spool does not know it to be claimed is reported.
func TestDeliveryWithoutClaim(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.spool = forgetful{r.spool}
		r.options.Connections = 1
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(7 * time.Minute)
			return relaytest.OK(tr)
		}
		r.start(t)
		for range 3 {
			r.send(t, "ann@one.example", "a@site.test")
		}
		after(4 * time.Minute)
		if said := r.books(); len(said) != 0 {
			t.Errorf("too early: %q", said)
		}
		after(2 * time.Minute)
		if said := r.books(); len(said) != 1 || !strings.Contains(said[0], "in memory") {
			t.Errorf("said %q, want it once in six minutes", said)
		}
		after(time.Hour)
	})
}
