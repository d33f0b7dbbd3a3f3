package admin_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/relay/admin"
	"postrider/relay/relaytest"
	"postrider/relay/suppression"
)

// Operators see, add and remove suppressions; each change has an author, a dry run changes nothing.
func TestSuppressions(t *testing.T) {
	t.Parallel()
	list, err := suppression.New(t.Context(), suppression.Options{Terms: suppression.Terms{Keep: time.Hour}, Notes: &relaytest.Notes{}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	s := serveWith(t, 0, func(o *admin.Options) { o.Suppressions = list })
	order := admin.SuppressionOrder{
		Suppressions: []admin.Suppression{{Address: "Bob@two.test"}, {Address: "cid@two.test", Scope: "user:shop", Reason: "his own"}},
		Author:       "ops", Reason: "they asked", DryRun: true,
	}
	for i, want := range []admin.SuppressionTally{{Changed: 2}, {Changed: 2}, {Unchanged: 2}} {
		if got, err := s.client.Suppress(t.Context(), order); err != nil || got != want {
			t.Errorf("suppress, %d: %+v, %v, want %+v", i, got, err, want)
		}
		order.DryRun = false
	}
	if got, want := suppressed(t, s, "", 0), []string{"bob@two.test global " + by("ops") + " they asked", "cid@two.test user:shop " + by("ops") + " his own"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := suppressed(t, s, "*id@*", 0); len(got) != 1 || len(suppressed(t, s, "", 1)) != 1 {
		t.Errorf("with a pattern %q", got)
	}
	removal := admin.SuppressionRemoval{Addresses: []string{"BOB@two.test"}, Scope: "user:shop", Author: "ops"}
	for i, want := range []admin.SuppressionTally{{Unchanged: 1}, {Changed: 1}} {
		if got, err := s.client.Unsuppress(t.Context(), removal); err != nil || got != want {
			t.Errorf("remove, %d: %+v, %v, want %+v", i, got, err, want)
		}
		removal.Scope = ""
	}
	order.Author = "o\nps"
	if _, err := s.client.Suppress(t.Context(), order); err == nil {
		t.Error("suppressed by an author of two lines")
	}
	order.Author, order.Suppressions[0].Address = "ops", "bob"
	if _, err := s.client.Suppress(t.Context(), order); err == nil || !strings.Contains(err.Error(), "bob") {
		t.Errorf("a bad address: %v", err)
	}
	list.Reload(suppression.Terms{})
	order.Suppressions[0].Address = "bob@two.test"
	if _, err := s.client.Suppress(t.Context(), order); err == nil || !strings.Contains(err.Error(), "is off") {
		t.Errorf("off: %v", err)
	}
}

func suppressed(t *testing.T, s *serving, pattern string, limit int) []string {
	t.Helper()
	var all []string
	for v, err := range s.client.Suppressions(context.Background(), pattern, limit) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.Join([]string{v.Address, v.Scope, v.Author, v.Reason}, " "))
	}
	return all
}

// Without a list there is nothing to see.
func TestNoSuppressions(t *testing.T) {
	t.Parallel()
	s := serve(t, 0)
	for _, err := range s.client.Suppressions(t.Context(), "", 0) {
		if err == nil || !strings.Contains(err.Error(), "no suppression list") {
			t.Errorf("got %v", err)
		}
	}
}
