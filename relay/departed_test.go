package relay_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"postrider/relay"
)

// ends are what the history and the observer have about recipients who are not in the queue. Both
// have the same.
func ends(t *testing.T, h *memoir, r *rig) map[string]string {
	t.Helper()
	got, told := make(map[string]string), make(map[string]string)
	add := func(to map[string]string, who string, reply relay.Reply) {
		if to[who] != "" {
			t.Errorf("%s has two ends", who)
		}
		to[who] = reply.String()
	}
	for _, l := range h.lives {
		for _, e := range l.Events {
			for _, who := range e.Removed {
				add(got, who, e.Reply)
			}
			for _, k := range e.Recipients {
				add(got, l.Recipients[k], e.Reply)
			}
			if !e.Final() {
				t.Errorf("%+v is not final", e)
			}
		}
	}
	for _, a := range r.observer.AllAttempted() {
		for _, o := range a.Outcomes {
			add(told, o.Recipient.Address.String(), o.Reply)
		}
	}
	if !maps.Equal(got, told) {
		t.Errorf("remembered %v, told %v", got, told)
	}
	return got
}

// Each recipient that a client was told yes about is in the queue or has one end that says where
// its mail went.
func TestDepartedHaveOneEnd(t *testing.T) {
	const discarded = "250 2.0.0 Discarded, as the configuration says"
	moved := map[relay.Address]relay.Reply{
		address("a@one.test"): relay.Redirected(rcpts("q@two.test"), "rule r"), address("b@one.test"): relay.Removed("rule s"),
	}
	for name, tt := range map[string]struct {
		edits map[string]*relay.Edits
		left  string
		want  map[string]string
	}{
		"redirected at rcpt": {
			edits: map[string]*relay.Edits{"rcpt": {Recipients: rcpts("q@two.test"), Ends: moved}}, left: "q@two.test",
			want: map[string]string{"a@one.test": "251 2.1.5 Redirected to q@two.test by rule r", "b@one.test": "250 2.0.0 Removed by rule s"},
		},
		"redirected at data, one removed": {
			edits: map[string]*relay.Edits{"data": {Recipients: rcpts("q@two.test"), Removed: rcpts("b@one.test", "a@one.test"), Ends: moved}}, left: "q@two.test",
			want: map[string]string{"a@one.test": "251 2.1.5 Redirected to q@two.test by rule r", "b@one.test": "250 2.0.0 Removed by rule s"},
		},
		"nobody says why": {
			edits: map[string]*relay.Edits{"data": {Recipients: rcpts("q@two.test", "b@one.test")}}, left: "q@two.test b@one.test",
			want: map[string]string{"a@one.test": "251 2.1.5 Redirected to q@two.test, b@one.test"},
		},
		"nobody is left": {
			edits: map[string]*relay.Edits{"rcpt": {Recipients: []relay.Recipient{}}},
			want:  map[string]string{"a@one.test": discarded, "b@one.test": discarded},
		},
		"back again": {
			edits: map[string]*relay.Edits{"rcpt": {Recipients: rcpts("q@two.test")}, "data": {Recipients: rcpts("a@one.test")}}, left: "a@one.test",
			want: map[string]string{"b@one.test": "251 2.1.5 Redirected to q@two.test", "q@two.test": "251 2.1.5 Redirected to a@one.test"},
		},
		"redirected, then thrown away": {
			edits: map[string]*relay.Edits{"rcpt": {Recipients: rcpts("q@two.test"), Discard: true}, "data": {Discard: true}},
			want:  map[string]string{"a@one.test": discarded, "b@one.test": discarded},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				h := &memoir{}
				r.history, r.spool = h, &memoirs{r.spool, h}
				r.policy.Rule = ruled(tt.edits)
				r.fill(t)
				o := origin
				m, ds := r.deal(t, &o, "a@one.test", "b@one.test")
				var left []relay.Recipient
				for _, d := range ds {
					for _, k := range d.Recipients {
						left = append(left, m.Envelope.Recipients[k])
					}
				}
				if got := ends(t, h, r); !maps.Equal(got, tt.want) || addresses(left) != tt.left {
					t.Errorf("got the ends %v and %q left, want %v and %q", got, addresses(left), tt.want, tt.left)
				}
			})
		})
	}
}

// However many recipients are redirected to one, the client's number of them is bounded; and those
// that are redirected count once.
func TestRedirectedRecipientsAreCounted(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		to := ""
		r.policy.Rule = func(stage string, _ *relay.Message, rcpt relay.Recipient) relay.Ruling {
			if stage != "rcpt" {
				return relay.Ruling{}
			}
			return relay.Ruling{Edits: &relay.Edits{Recipients: rcpts(strings.Replace(to, "*", rcpt.Address.Local, 1))}}
		}
		r.fill(t)
		for _, to = range []string{"*@two.test", "q@two.test"} {
			o := origin
			tx := r.receiver.Begin(&o)
			if reply := tx.Mail(t.Context(), relay.Envelope{Sender: address("s@example.com")}, 0); reply != nil {
				t.Fatal(reply)
			}
			for i := range relay.DefaultRecipients {
				if reply := tx.Rcpt(t.Context(), rcpts(fmt.Sprintf("a%d@one.test", i))[0]); reply != nil {
					t.Fatalf("to %s, recipient %d: %s", to, i, reply)
				}
			}
			if reply := tx.Rcpt(t.Context(), rcpts("one@many.test")[0]); reply == nil || reply.Code != 452 {
				t.Errorf("to %s, one recipient too many: got %v, want 452", to, reply)
			}
			if reply := tx.Rcpt(t.Context(), rcpts("a0@one.test")[0]); reply != nil {
				t.Errorf("to %s, one that was given before: got %v, want a yes", to, reply)
			}
		}
	})
}

func TestRedirectedWords(t *testing.T) {
	t.Parallel()
	many := rcpts(strings.Fields(strings.Repeat("a@b.test ", 7))...)
	if got, want := relay.Redirected(many, "rule r").Text, "Redirected to a@b.test, a@b.test, a@b.test, a@b.test, a@b.test and 2 more by rule r"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	replies := []relay.Reply{relay.Redirected(many, ""), relay.Removed("rule r")}
	if got := slices.IndexFunc(replies, func(r relay.Reply) bool { return !r.IsRedirected() }); got != 1 {
		t.Errorf("%s is no redirection", replies[got])
	}
}
