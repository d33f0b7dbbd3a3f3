package relay_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"postrider/relay"
)

// byRecipient has the edits of each recipient at rcpt, by local part, and those at other stages.
func byRecipient(edits map[string]*relay.Edits) func(string, *relay.Message, relay.Recipient) relay.Ruling {
	return func(stage string, _ *relay.Message, r relay.Recipient) relay.Ruling {
		if stage == "rcpt" {
			stage = r.Address.Local
		}
		return relay.Ruling{Edits: edits[stage]}
	}
}

// namedRoutes routes mail by the route that a rule has named, else by the message's first tag.
func namedRoutes(m *relay.Message, r relay.Recipient) (relay.Routing, *relay.Reply) {
	route := r.Route
	if route == "" && len(m.Tags) > 0 {
		route = m.Tags[0]
	}
	return relay.Routing{To: relay.Destination{Route: route}, Held: map[bool]string{true: "by route"}[route == "quarantine"]}, nil
}

// What rules have said of recipients before holds when others take their place.
func TestAmendedRecipients(t *testing.T) {
	for name, tt := range map[string]struct {
		edits map[string]*relay.Edits
		// want are the recipients with their routes, and why they are held.
		want string
	}{
		"a hold survives a redirection": {
			edits: map[string]*relay.Edits{"a": {Held: "odd"}, "data": {Recipients: rcpts("b@one.test", "q@two.test")}},
			want:  "b@one.test, q@two.test(odd)",
		},
		"a hold is for one recipient": {
			edits: map[string]*relay.Edits{"a": {Held: "odd"}, "data": {Recipients: rcpts("a@one.test", "b@one.test", "q@two.test")}},
			want:  "a@one.test(odd), b@one.test, q@two.test",
		},
		"who is added goes the way of all": {
			edits: map[string]*relay.Edits{"mail": {Route: "named"}, "data": {Recipients: rcpts("a@one.test", "q@two.test")}},
			want:  "a@one.test named, q@two.test named",
		},
		"a tag that comes late": {
			edits: map[string]*relay.Edits{"b": {Tags: []string{"quarantine"}}},
			want:  "a@one.test quarantine(by route), b@one.test quarantine(by route)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.policy.Rule, r.policy.Routing = byRecipient(tt.edits), namedRoutes
				r.fill(t)
				o := origin
				m, ds := r.deal(t, &o, "a@one.test", "b@one.test")
				var got []string
				for _, d := range ds {
					for _, k := range d.Recipients {
						text := strings.TrimSpace(m.Envelope.Recipients[k].Address.String() + " " + d.To.Route)
						if d.Held != "" {
							text += "(" + d.Held + ")"
						}
						got = append(got, text)
					}
				}
				slices.Sort(got)
				if got := strings.Join(got, ", "); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// A change of the header section is made once, however many recipients it is wanted for.
func TestHeaderEditsOfRecipients(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		mark := relay.HeaderEdit{Name: "X-Mark", Value: "1"}
		r.policy.Rule = byRecipient(map[string]*relay.Edits{
			"mail": {Header: []relay.HeaderEdit{mark}},
			"a":    {Header: []relay.HeaderEdit{mark}, SignWith: []string{"k"}},
			"b":    {Header: []relay.HeaderEdit{mark, {Name: "X-Own", Value: "b"}}, SignWith: []string{"k"}},
		})
		r.fill(t)
		o := origin
		m, _ := r.deal(t, &o, "a@one.test", "b@one.test")
		if got := strings.Count(string(m.Header), "X-Mark: 1"); got != 2 || !strings.Contains(string(m.Header), "X-Own: b") || len(m.SignWith) != 1 {
			t.Errorf("%d marks, one of them from before there were recipients, and keys %q, in\n%s", got, m.SignWith, m.Header)
		}
	})
}

// What is said of the message as a whole has room behind what was said of many recipients, and
// what a client wrote does not fill it.
func TestTraceHasRoom(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.policy.Rule = func(stage string, _ *relay.Message, _ relay.Recipient) relay.Ruling {
			return relay.Ruling{Trace: []relay.Verdict{{Rule: "r", Stage: stage, Said: strings.Repeat("ü", 3000)}}}
		}
		r.fill(t)
		o := origin
		var to []string
		for i := range 300 {
			to = append(to, fmt.Sprintf("u%d@one.test", i))
		}
		m, _ := r.deal(t, &o, to...)
		last := m.Trace[len(m.Trace)-1]
		if about := m.Trace[5].Recipient; about != "u4@one.test" {
			t.Errorf("a verdict is about %s", about)
		}
		if len(m.Trace) > relay.MaxTrace || last.Stage != "data" || len(last.Said) > 510 {
			t.Errorf("%d verdicts, the last at %s with %d bytes", len(m.Trace), last.Stage, len(last.Said))
		}
	})
}
