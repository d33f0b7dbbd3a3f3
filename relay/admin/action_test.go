package admin_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"

	"postrider/relay/admin"
)

// act carries out an action and gives its last line.
func (s *serving) act(t *testing.T, a admin.Action) admin.Progress {
	t.Helper()
	if a.Author == "" {
		a.Author, a.Reason = "anna", "a test"
	}
	var last admin.Progress
	for p, err := range s.client.Act(t.Context(), a) {
		if err != nil {
			t.Fatalf("%s: %v", a.Action, err)
		}
		last = p
	}
	return last
}

// by is whom a change over the socket is ascribed to: us, and whom we named.
func by(given string) string {
	me, err := user.Current()
	if err != nil {
		return "uid " + strconv.Itoa(os.Getuid()) + " (given as " + given + ")"
	}
	return me.Username + " (given as " + given + ")"
}

// Over the socket the author is who the kernel says is at its other end, whoever is named; and that
// is what the journal, the pause, the history and a held delivery say.
func TestAuthorOverSocket(t *testing.T) {
	t.Parallel()
	s := serve(t, 2)
	ctx := t.Context()
	me := strings.TrimSuffix(by(""), " (given as )")
	for given, want := range map[string]string{"": me, me: me, "anna": by("anna")} {
		if _, err := s.client.ChangeDestination(ctx, "pause", "internet/one.test", admin.Change{Author: given, Reason: "they asked"}); err != nil {
			t.Fatal(err)
		}
		if p, err := s.client.Pauses(ctx); err != nil || len(p) != 1 || p[0].Author != want {
			t.Errorf("given %q: pauses %+v, %v; want %q", given, p, err, want)
		}
		journal, err := s.client.Journal(ctx)
		if n := len(journal); err != nil || n == 0 || journal[n-1].Author != want {
			t.Errorf("given %q: journal %+v, %v; want %q", given, journal, err, want)
		}
		l, err := s.client.Limits(ctx, "internet/one.test")
		if err != nil || len(l.Limits) == 0 || l.Limits[0].Reason != "by "+want+": they asked" {
			t.Errorf("given %q: limits %+v, %v", given, l.Limits, err)
		}
	}
}

func states(entries []admin.Entry) map[string]int {
	n := make(map[string]int)
	for _, e := range entries {
		n[e.State]++
	}
	return n
}

// Each action does what it says to what was meant and to nothing else.
func TestActions(t *testing.T) {
	t.Parallel()
	s := serve(t, 10)
	two := admin.Selection{Destination: "*/two.test"}
	if p := s.act(t, admin.Action{Action: "hold", Select: two, DryRun: true}); p.Matched != 10 || p.Changed != 0 || !p.Done {
		t.Errorf("dry run: %+v", p)
	}
	if p := s.act(t, admin.Action{Action: "hold", Select: two}); p.Seen != 20 || p.Matched != 10 || p.Changed != 10 {
		t.Errorf("hold: %+v", p)
	}
	all := s.list(t, admin.QueueQuery{})
	if n := states(all); n["held"] != 10 || n["due"] != 10 {
		t.Errorf("after hold: %v", n)
	}
	i := slices.IndexFunc(all, func(e admin.Entry) bool { return e.State == "held" })
	if all[i].Reason != "by "+by("anna")+": a test" || all[i].Destination != "internet/two.test" {
		t.Errorf("held: %+v", all[i])
	}
	if d, err := s.client.Destination(t.Context(), "internet/two.test"); err != nil || d.Depth.Held != 10 {
		t.Errorf("destination: %+v, %v", d, err)
	}
	if p := s.act(t, admin.Action{Action: "release", Select: admin.Selection{States: []string{"held"}, IDs: []string{s.ids[0].String(), s.ids[1].String()}}}); p.Changed != 2 {
		t.Errorf("release: %+v", p)
	}
	if p := s.act(t, admin.Action{Action: "delete", Select: admin.Selection{States: []string{"held"}}}); p.Changed != 8 {
		t.Errorf("delete: %+v", p)
	}
	if p := s.act(t, admin.Action{Action: "bounce", Select: admin.Selection{Recipient: "B@one.test"}, Text: "Moved away"}); p.Changed != 10 {
		t.Errorf("bounce: %+v", p)
	}
	if p := s.act(t, admin.Action{Action: "retry", All: true}); p.Failed != 0 {
		t.Errorf("retry: %+v", p)
	}
	journal, err := s.client.Journal(t.Context())
	if err != nil || len(journal) < 4 || journal[0].Action != "hold" || journal[0].Changed != 10 || journal[0].Author != by("anna") || journal[0].Reason != "a test" {
		t.Errorf("journal %+v, %v", journal, err)
	}
}

func TestQueueSelection(t *testing.T) {
	t.Parallel()
	s := serve(t, 5)
	for _, tt := range []struct {
		name string
		sel  admin.Selection
		want int
	}{
		{"all", admin.Selection{}, 10},
		{"sender", admin.Selection{Sender: "a@*"}, 10},
		{"recipient", admin.Selection{Recipient: "c@two.test"}, 5},
		{"destination in capitals", admin.Selection{Destination: "internet/TWO.test", Recipient: "c@*"}, 5},
		{"destination and another recipient", admin.Selection{Destination: "internet/two.test", Recipient: "b@*"}, 0},
		{"pattern", admin.Selection{Destination: "*/one.test"}, 5},
		{"route", admin.Selection{Route: "internet"}, 10},
		{"state", admin.Selection{States: []string{"deferred"}}, 5},
		{"states", admin.Selection{States: []string{"deferred", "due"}}, 10},
		{"class", admin.Selection{Classes: []string{"quota"}}, 0},
		{"old", admin.Selection{OlderSeconds: 3600}, 0},
		{"young", admin.Selection{YoungerSeconds: 3600}, 10},
		{"large", admin.Selection{LargerBytes: 40}, 0},
		{"not so large", admin.Selection{LargerBytes: 39}, 10},
		{"user", admin.Selection{User: "shop"}, 0},
		{"tag", admin.Selection{Tag: "*"}, 0},
		{"ids", admin.Selection{IDs: []string{s.ids[1].String(), s.ids[3].String()}}, 4},
	} {
		if got := s.list(t, admin.QueueQuery{Selection: tt.sel}); len(got) != tt.want {
			t.Errorf("%s: %d entries, want %d", tt.name, len(got), tt.want)
		}
	}
	for _, sel := range []admin.Selection{{States: []string{"lost"}}, {Classes: []string{"x"}}, {IDs: []string{"1"}}, {OlderSeconds: -1}} {
		for _, err := range s.client.Queue(t.Context(), admin.QueueQuery{Selection: sel}) {
			if err == nil {
				t.Errorf("%+v is not refused", sel)
			}
		}
	}
}

func TestPauses(t *testing.T) {
	t.Parallel()
	s := serve(t, 3)
	ctx, anna := t.Context(), admin.Change{Author: "anna", Reason: "they asked"}
	if c, err := s.client.ChangeDestination(ctx, "pause", "internet/one.test", anna); err != nil || !c.Changed || c.Destination != "internet/one.test" {
		t.Errorf("pause: %+v, %v", c, err)
	}
	if p, err := s.client.Pauses(ctx); err != nil || len(p) != 1 || p[0].Author != by("anna") || p[0].Since.IsZero() {
		t.Errorf("pauses %+v, %v", p, err)
	}
	if n := states(s.list(t, admin.QueueQuery{})); n["paused"] != 3 || n["deferred"] != 3 {
		t.Errorf("states %v", n)
	}
	for _, want := range []bool{true, false} {
		if c, err := s.client.ChangeDestination(ctx, "resume", "internet/one.test", anna); err != nil || c.Changed != want {
			t.Errorf("resume: %+v, %v; want %v", c, err, want)
		}
	}
	for what, change := range map[string]admin.Change{"pause": {Author: "anna"}, "resume": {Author: "an\nna"}} {
		if c, err := s.client.ChangeDestination(ctx, what, "internet/one.test", change); err == nil {
			t.Errorf("%s by %+v: %+v, want a refusal", what, change, c)
		}
	}
	if _, err := s.client.ChangeDestination(ctx, "retry", "internet/*", anna); err == nil {
		t.Error("retry of a pattern is not refused")
	}
	if _, err := s.client.ChangeDestination(ctx, "retry", "internet/one.test", anna); err != nil {
		t.Errorf("retry: %v", err)
	}
	journal, err := s.client.Journal(ctx)
	if n := len(journal); err != nil || n == 0 || journal[n-1].Action != "retry" || journal[n-1].Destination != "internet/one.test" || journal[n-1].Author != by("anna") {
		t.Errorf("journal %+v, %v", journal, err)
	}
}

// A request that is not quite right does nothing: a misspelt condition must not mean all mail.
func TestActionRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, 3)
	dial := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", s.socket) }}
	defer dial.CloseIdleConnections()
	client := http.Client{Transport: dial}
	for name, tt := range map[string]struct{ kind, body string }{
		"a misspelt condition":   {"application/json", `{"action": "delete", "select": {"recipent": "c@two.test"}, "all": true, "author": "a", "reason": "b"}`},
		"a form":                 {"text/plain", `{"action": "delete", "select": {}, "all": true, "author": "a", "reason": "b"}`},
		"no such action":         {"application/json", `{"action": "drop", "select": {}, "all": true, "author": "a", "reason": "b"}`},
		"everything by mistake":  {"application/json", `{"action": "delete", "select": {}, "author": "a", "reason": "b"}`},
		"an author of two lines": {"application/json", `{"action": "delete", "select": {}, "all": true, "author": "a\nb", "reason": "b"}`},
		"no reason":              {"application/json", `{"action": "delete", "select": {}, "all": true, "author": "a"}`},
		"a second value":         {"application/json", `{"action": "delete", "select": {}, "all": true, "author": "a", "reason": "b"} {}`},
		"a route for delete":     {"application/json", `{"action": "delete", "select": {}, "all": true, "author": "a", "reason": "b", "route": "x"}`},
		"an id that is none":     {"application/json", `{"action": "delete", "select": {"ids": ["x"]}, "author": "a", "reason": "b"}`},
		"an age that overflows":  {"application/json", `{"action": "delete", "select": {"older_seconds": -5}, "author": "a", "reason": "b"}`},
		"nothing":                {"application/json", ``},
	} {
		resp, err := client.Post("http://relay/v1/queue/actions", tt.kind, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), `"error"`) {
			t.Errorf("%s: got %d %s", name, resp.StatusCode, text)
		}
	}
	resp, err := http.Post("http://"+s.addr+"/v1/queue/actions", "application/json", strings.NewReader(`{"action": "delete", "select": {}, "all": true, "author": "a", "reason": "b"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("over TCP without tokens: got %d", resp.StatusCode)
	}
	if n := len(s.list(t, admin.QueueQuery{})); n != 6 {
		t.Errorf("%d deliveries left of 6", n)
	}
}
