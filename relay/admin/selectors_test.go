package admin_test

import (
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/admin"
)

// addOdd queues a message that differs from those of add in everything that can be selected by: it came
// two hours ago from another sender and user, is large and tagged, and held after a reply about quota.
func (s *serving) addOdd(t *testing.T) relay.ID {
	t.Helper()
	ctx := t.Context()
	then := time.Now().Add(-2 * time.Hour)
	id := relay.NewIDs(func() time.Time { return then }, rand.Reader).Next()
	draft, err := s.spool.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := draft.Write(make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	header := []byte("Subject: odd\r\n\r\n")
	m := &relay.Message{
		ID: id, Header: header, Size: int64(len(header)) + 5000, Received: then, Origin: relay.Origin{User: "shop"}, Tags: []string{"news", "bulk"},
		Envelope: relay.Envelope{Sender: relay.Address{Local: "odd", Domain: "shop.test"}, Recipients: []relay.Recipient{{Address: relay.Address{Local: "d", Domain: "three.test"}}}},
	}
	d := relay.Delivery{
		DeliveryID: relay.DeliveryID{Message: id}, To: relay.Destination{Route: "backup", Domain: "three.test"}, Flow: "g", Recipients: []int{0}, Due: time.Now(),
		Held: "odd", Last: relay.Reply{Code: 452, Text: "full", Class: relay.ClassQuota},
	}
	if err := draft.Commit(ctx, m, []relay.Delivery{d}); err != nil {
		t.Fatal(err)
	}
	return id
}

// Each selector means what it says, in lists and in actions alike, and a dry run of any action with it
// changes nothing.
func TestSelectors(t *testing.T) {
	t.Parallel()
	s := serve(t, 3) // six deliveries
	odd := s.addOdd(t)
	before := s.snapshot(t)
	for name, sel := range map[string]admin.Selection{
		"sender":      {Sender: "ODD@*"},
		"recipient":   {Recipient: "d@three.test"},
		"destination": {Destination: "backup/three.test"},
		"pattern":     {Destination: "*/three.test"},
		"route":       {Route: "back*"},
		"user":        {User: "Shop"},
		"older":       {OlderSeconds: 3600},
		"larger":      {LargerBytes: 1000},
		"state":       {States: []string{"held"}},
		"class":       {Classes: []string{"quota"}},
		"tag":         {Tag: "bulk"},
		"id":          {IDs: []string{odd.String()}},
		"all of them": {Sender: "odd@*", Recipient: "d@*", Route: "backup", User: "shop", OlderSeconds: 3600, LargerBytes: 1000, States: []string{"held"}, Classes: []string{"quota"}, Tag: "n*"},
	} {
		s.wantMeant(t, name, sel, 1)
	}
	for name, sel := range map[string]admin.Selection{
		"sender":            {Sender: "a@example.com"},
		"recipients":        {Recipient: "*@*o*.test"}, // one.test and two.test
		"route":             {Route: "internet"},
		"younger":           {YoungerSeconds: 3600},
		"smaller":           {SmallerBytes: 1000},
		"states":            {States: []string{"due", "deferred"}},
		"the pattern of it": {Destination: "internet/*"},
	} {
		s.wantMeant(t, name, sel, 6)
	}
	for name, sel := range map[string]admin.Selection{
		"user":                          {User: "desk"},
		"tag":                           {Tag: "bul"},
		"class":                         {Classes: []string{"greylisting"}},
		"one condition that is not met": {Sender: "odd@*", Route: "internet"},
	} {
		s.wantMeant(t, name, sel, 0)
	}
	if after := s.snapshot(t); after != before {
		t.Errorf("dry runs have changed\n%s\nto\n%s", before, after)
	}
	if journal, err := s.client.Journal(t.Context()); err != nil || len(journal) != 0 {
		t.Errorf("journal %+v, %v", journal, err)
	}
}

// wantMeant lists what is meant, and tries each action on it.
func (s *serving) wantMeant(t *testing.T, name string, sel admin.Selection, want int) {
	t.Helper()
	if got := len(s.list(t, admin.QueueQuery{Selection: sel})); got != want {
		t.Errorf("%s: %d listed, want %d", name, got, want)
	}
	for _, action := range []string{"hold", "release", "retry", "delete", "bounce", "reroute"} {
		if p := s.act(t, admin.Action{Action: action, Select: sel, DryRun: true}); p.Matched != want || p.Changed != 0 {
			t.Errorf("%s, %s: %+v, want %d", name, action, p, want)
		}
	}
}

// snapshot is all that the spool has.
func (s *serving) snapshot(t *testing.T) string {
	t.Helper()
	var all []relay.Delivery
	for d, err := range s.spool.List(t.Context(), relay.ID{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
