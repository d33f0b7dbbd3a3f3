package relay_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// An import has one entry in the journal, from its beginning: with who wanted it, what was new, known
// and refused, and whether it was broken off, by a crash as well.
func TestImportInJournal(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	notes, spool, ids := new(relaytest.Notes), relaytest.NewSpool(), relay.NewIDs(time.Now, rand.Reader)
	var told []relay.Entry
	i, err := relay.NewImporter(relay.ImporterOptions{Spool: spool, Notes: notes, IDs: ids, Told: func(e relay.Entry) { told = append(told, e) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Begin(ctx, "", "because"); !errors.Is(err, relay.ErrOrder) {
		t.Errorf("by nobody: %v", err)
	}
	scheduler, err := relay.NewScheduler(relay.SchedulerOptions{
		Hostname: "relay.test", Spool: spool, Transport: &relaytest.Transport{}, Policy: &relaytest.Policy{},
		Observer: &relaytest.Observer{}, IDs: ids, Now: time.Now, Chance: func() float64 { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	entries := func() []relay.Entry {
		o, err := relay.NewOperator(ctx, relay.OperatorOptions{Scheduler: scheduler, Notes: notes})
		if err != nil {
			t.Fatal(err)
		}
		all, err := o.Journal(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	g, err := i.Begin(ctx, "ann", "because")
	if err != nil {
		t.Fatal(err)
	}
	m := &relay.Message{ID: ids.Next(), Header: []byte("A: b\r\n\r\n"), Size: 8, Received: time.Now(), Envelope: relay.Envelope{Recipients: []relay.Recipient{{Address: address("a@x.test")}}}}
	ds := []relay.Delivery{{DeliveryID: relay.DeliveryID{Message: m.ID}, To: relay.Destination{Route: "r"}, Flow: "f", Recipients: []int{0}}}
	for k, want := range []bool{true, false} {
		if fresh, err := g.Import(ctx, m, ds, strings.NewReader("")); err != nil || fresh != want {
			t.Errorf("import %d: %v, %v", k, fresh, err)
		}
	}
	if _, err := g.Import(ctx, m, nil, strings.NewReader("")); !errors.Is(err, relay.ErrImport) {
		t.Errorf("no deliveries: %v", err)
	}
	for range 2 {
		tally, err := g.End(ctx, true)
		if want := (relay.Tally{Seen: 3, Changed: 1, Unchanged: 1, Failed: 1}); err != nil || tally != want {
			t.Errorf("got %+v, %v; want %+v", tally, err, want)
		}
	}
	if len(told) != 1 || told[0].Author != "ann" || told[0].BrokenOff {
		t.Errorf("told %+v", told)
	}
	if all := entries(); len(all) != 1 || all[0].Action != "import" || all[0].Reason != "because" || all[0].UnderWay || all[0].BrokenOff || all[0].Tally.Changed != 1 {
		t.Errorf("journal %+v", all)
	}
	if _, err := i.Begin(ctx, "bob", "again"); err != nil { // and then a crash
		t.Fatal(err)
	}
	if all := entries(); len(all) != 2 || !all[1].BrokenOff || all[1].Author != "bob" {
		t.Errorf("journal after a crash %+v", all)
	}
}
