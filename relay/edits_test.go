package relay_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"postrider/relay"
)

// ruled has the edits of each stage.
func ruled(edits map[string]*relay.Edits) func(string, *relay.Message, relay.Recipient) relay.Ruling {
	return func(stage string, _ *relay.Message, _ relay.Recipient) relay.Ruling {
		return relay.Ruling{Edits: edits[stage], Trace: []relay.Verdict{{Rule: "r", Stage: stage, Said: "yes"}}}
	}
}

func rcpts(texts ...string) []relay.Recipient {
	list := make([]relay.Recipient, len(texts))
	for i, text := range texts {
		list[i].Address = address(text)
	}
	return list
}

func addresses(list []relay.Recipient) string {
	var texts []string
	for _, r := range list {
		texts = append(texts, r.Address.String())
	}
	return strings.Join(texts, " ")
}

// What the rules want done is done to the message that is committed, whatever the stage that
// said so.
func TestEdits(t *testing.T) {
	priority, sender := int8(4), address("out@example.com")
	for name, tt := range map[string]struct {
		edits map[string]*relay.Edits
		// want are the recipients by delivery, each with why it is held, and header what the
		// header section ends in.
		want, header string
		check        func(*relay.Message, []relay.Delivery) bool
	}{
		"nothing": {want: "a@one.test b@one.test"},
		"held at mail": {
			edits: map[string]*relay.Edits{"mail": {Held: "odd"}}, want: "a@one.test b@one.test (odd)",
		},
		"held at connect": {
			edits: map[string]*relay.Edits{"connect": {Held: "odd"}}, want: "a@one.test b@one.test (odd)",
		},
		"held at data, rerouted": {
			edits: map[string]*relay.Edits{"data": {Held: "odd", Route: "other"}}, want: "a@one.test b@one.test (odd)",
			check: func(_ *relay.Message, ds []relay.Delivery) bool { return ds[0].To.Route == "other" },
		},
		"redirected at rcpt, once": {
			edits: map[string]*relay.Edits{"rcpt": {Recipients: rcpts("q@two.test")}}, want: "q@two.test",
		},
		"more at data": {
			edits: map[string]*relay.Edits{"data": {Recipients: rcpts("a@one.test", "c@two.test", "a@one.test")}},
			want:  "a@one.test, c@two.test",
		},
		"tags change the route": {
			edits: map[string]*relay.Edits{"data": {Tags: []string{"bulk", "bulk"}}}, want: "a@one.test b@one.test",
			check: func(m *relay.Message, ds []relay.Delivery) bool {
				return ds[0].To.Route == "bulk" && slices.Equal(m.Tags, []string{"bulk"})
			},
		},
		"message": {
			edits: map[string]*relay.Edits{
				"mail": {Priority: &priority, Flow: "news", Encryption: relay.EncryptionRequired},
				"data": {Sender: &sender, SignWith: []string{"example.com"}},
			},
			want: "a@one.test b@one.test",
			check: func(m *relay.Message, ds []relay.Delivery) bool {
				return m.Envelope.Sender == sender && m.Envelope.Priority == 4 && ds[0].Priority == 4 && ds[0].Flow == "news" &&
					m.Envelope.Encryption == relay.EncryptionRequired && m.SignWith[0] == "example.com"
			},
		},
		"header": {
			edits: map[string]*relay.Edits{
				"mail": {Header: []relay.HeaderEdit{{Name: "X-One", Value: "1"}}},
				"data": {Header: []relay.HeaderEdit{{Name: "subject", Remove: true}, {Name: "X-Two", Value: "a\r\nEvil: b"}}},
			},
			want: "a@one.test b@one.test", header: "From: a@example.com\r\nX-One: 1\r\nX-Two: a Evil: b\r\n\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.policy.Rule = ruled(tt.edits)
				r.policy.Routing = func(m *relay.Message, rcpt relay.Recipient) (relay.Routing, *relay.Reply) {
					to := relay.Destination{Route: rcpt.Route, Domain: rcpt.Address.Domain}
					if slices.Contains(m.Tags, "bulk") {
						to.Route = "bulk"
					}
					return relay.Routing{To: to}, nil
				}
				r.fill(t)
				o := origin
				if reply := r.receiver.Connect(t.Context(), &o); reply != nil {
					t.Fatal(reply)
				}
				m, ds := r.deal(t, &o, "a@one.test", "b@one.test")
				var got []string
				for _, d := range ds {
					text := make([]relay.Recipient, 0, len(d.Recipients))
					for _, k := range d.Recipients {
						text = append(text, m.Envelope.Recipients[k])
					}
					one := addresses(text)
					if d.Held != "" {
						one += " (" + d.Held + ")"
					}
					got = append(got, one)
				}
				if got := strings.Join(got, ", "); got != tt.want {
					t.Errorf("got deliveries to %q, want %q", got, tt.want)
				}
				if !strings.HasSuffix(string(m.Header), tt.header) {
					t.Errorf("the header section is %q, want %q at its end", m.Header, tt.header)
				}
				if body := content[strings.Index(content, "\r\n\r\n")+4:]; m.Size != int64(len(m.Header)+len(body)) {
					t.Errorf("the size is %d for a header section of %d and a body of %d", m.Size, len(m.Header), len(body))
				}
				if tt.check != nil && !tt.check(m, ds) {
					t.Errorf("got %+v, %+v", m, ds)
				}
				if len(m.Trace) != 5 || m.Trace[0].Stage != "connect" || m.Trace[4].Stage != "data" {
					t.Errorf("the trace is %v", m.Trace)
				}
			})
		})
	}
}

// deal has a message accepted and gives it as it was committed.
func (r *rig) deal(t *testing.T, o *relay.Origin, to ...string) (*relay.Message, []relay.Delivery) {
	t.Helper()
	tx := r.receiver.Begin(o)
	if reply := tx.Mail(t.Context(), relay.Envelope{Sender: address("s@example.com")}, 0); reply != nil {
		t.Fatal(reply)
	}
	for _, rcpt := range rcpts(to...) {
		if reply := tx.Rcpt(t.Context(), rcpt); reply != nil {
			t.Fatal(reply)
		}
	}
	id, reply := tx.Data(t.Context(), strings.NewReader(content))
	if reply != nil {
		t.Fatal(reply)
	}
	accepted := r.observer.AllAccepted()
	ds, err := r.spool.Deliveries(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return accepted[len(accepted)-1].Message, ds
}

// What is thrown away is accepted, told once for each recipient, and leaves nothing behind.
func TestDiscarded(t *testing.T) {
	for name, tt := range map[string]struct {
		edits  map[string]*relay.Edits
		routed bool
		gone   string
		left   string
	}{
		"at connect":     {edits: map[string]*relay.Edits{"connect": {Discard: true}}, gone: "a@one.test b@one.test"},
		"at mail":        {edits: map[string]*relay.Edits{"mail": {Discard: true}}, gone: "a@one.test b@one.test"},
		"at rcpt":        {edits: map[string]*relay.Edits{"rcpt": {Discard: true}}, gone: "a@one.test b@one.test"},
		"at data":        {edits: map[string]*relay.Edits{"data": {Discard: true}}, gone: "a@one.test b@one.test"},
		"by route":       {routed: true, gone: "a@one.test b@one.test"},
		"one is removed": {edits: map[string]*relay.Edits{"data": {Recipients: rcpts("a@one.test"), Removed: rcpts("b@one.test")}}, gone: "b@one.test", left: "a@one.test"},
		"all are removed": {
			edits: map[string]*relay.Edits{"data": {Recipients: []relay.Recipient{}, Removed: rcpts("a@one.test", "b@one.test")}},
			gone:  "a@one.test b@one.test",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.policy.Rule = ruled(tt.edits)
				r.policy.Routing = func(*relay.Message, relay.Recipient) (relay.Routing, *relay.Reply) {
					return relay.Routing{To: relay.Destination{Route: "r"}, Discard: tt.routed}, nil
				}
				r.fill(t)
				o := origin
				r.receiver.Connect(t.Context(), &o)
				m, ds := r.deal(t, &o, "a@one.test", "b@one.test")
				var gone, left []relay.Recipient
				for _, a := range r.observer.AllAttempted() {
					for _, outcome := range a.Outcomes {
						if outcome.Status == relay.Discarded && a.Delivery.Message == m.ID {
							gone = append(gone, outcome.Recipient)
						}
					}
				}
				for _, d := range ds {
					for _, k := range d.Recipients {
						left = append(left, m.Envelope.Recipients[k])
					}
				}
				if addresses(gone) != tt.gone || addresses(left) != tt.left {
					t.Errorf("%q are gone and %q left, want %q and %q", addresses(gone), addresses(left), tt.gone, tt.left)
				}
				if tt.left == "" {
					r.wantEmpty(t)
				}
			})
		})
	}
}

// A recipient that is refused for want of a route leaves nothing of what was wanted for it.
func TestRefusedRecipientHasNoEdits(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.policy.Rule = func(stage string, _ *relay.Message, rcpt relay.Recipient) relay.Ruling {
			if stage == "rcpt" && rcpt.Address.Local == "bad" {
				return relay.Ruling{Edits: &relay.Edits{Tags: []string{"bad"}, Flow: "bad", Removed: rcpts("x@one.test")}}
			}
			return relay.Ruling{}
		}
		r.policy.Routing = func(_ *relay.Message, rcpt relay.Recipient) (relay.Routing, *relay.Reply) {
			if rcpt.Address.Local == "bad" {
				return relay.Routing{}, relay.NewReply(451, relay.EnhancedCode{4, 4, 4}, "none").For(relay.ReasonRoute)
			}
			return relay.Routing{To: relay.Destination{Route: "r"}}, nil
		}
		r.fill(t)
		o := origin
		tx := r.receiver.Begin(&o)
		tx.Mail(t.Context(), relay.Envelope{Sender: address("s@example.com")}, 0)
		reply := tx.Rcpt(t.Context(), rcpts("bad@one.test")[0])
		if got, want := reply.String(), "550 5.7.1 <bad@one.test>: No route for this recipient"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		tx.Rcpt(t.Context(), rcpts("good@one.test")[0])
		if _, reply := tx.Data(t.Context(), strings.NewReader(content)); reply != nil {
			t.Fatal(reply)
		}
		m := r.observer.AllAccepted()[0].Message
		if len(m.Tags) > 0 || len(r.observer.AllAttempted()) > 0 {
			t.Errorf("tags %q, attempts %v", m.Tags, r.observer.AllAttempted())
		}
	})
}

// Routes are asked again at each attempt: what they now keep is held and what they now throw
// away goes.
func TestRoutesChangeTheirMind(t *testing.T) {
	for name, tt := range map[string]struct {
		now  relay.Routing
		held string
		want relay.Status
	}{
		"held":      {now: relay.Routing{To: relay.Destination{Route: "r"}, Held: "for a look"}, held: "for a look", want: relay.Moved},
		"discarded": {now: relay.Routing{To: relay.Destination{Route: "r"}, Discard: true}, want: relay.Discarded},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				routing := relay.Routing{To: relay.Destination{Route: "r"}}
				r.policy.Routing = func(*relay.Message, relay.Recipient) (relay.Routing, *relay.Reply) { return routing, nil }
				r.fill(t)
				o := origin
				m, _ := r.deal(t, &o, "a@one.test")
				routing = tt.now
				r.start(t)
				synctest.Wait()
				attempts := r.observer.AllAttempted()
				if len(attempts) != 1 || attempts[0].Outcomes[0].Status != tt.want {
					t.Fatalf("got %+v, want %s", attempts, tt.want)
				}
				ds, err := r.spool.Deliveries(t.Context(), m.ID)
				if err != nil {
					t.Fatal(err)
				}
				if tt.held == "" && len(ds) > 0 || tt.held != "" && (len(ds) != 1 || ds[0].Held != tt.held) {
					t.Errorf("left are %+v", ds)
				}
			})
		})
	}
}

func TestHeaderEdits(t *testing.T) {
	t.Parallel()
	const section = "Received: x\r\n\ty\r\nFrom: =?utf-8?q?J=C3=BC?= <ju@old.test>\r\nX-A : 1\r\nX-B: 2\r\nx-a: 3\r\n\r\n"
	for name, tt := range map[string]struct {
		edits []relay.HeaderEdit
		utf8  bool
		want  string
	}{
		"add":                   {edits: []relay.HeaderEdit{{Name: "X-C", Value: "4"}}, want: strings.TrimSuffix(section, "\r\n") + "X-C: 4\r\n\r\n"},
		"remove":                {edits: []relay.HeaderEdit{{Name: "X-A", Remove: true}}, want: strings.NewReplacer("X-A : 1\r\n", "", "x-a: 3\r\n", "").Replace(section)},
		"remove by pattern":     {edits: []relay.HeaderEdit{{Name: "x-*", Remove: true}}, want: section[:strings.Index(section, "X-A")] + "\r\n"},
		"replace":               {edits: []relay.HeaderEdit{{Name: "x-a", Remove: true, Value: "5"}}, want: strings.NewReplacer("X-A : 1\r\n", "", "x-a: 3\r\n\r\n", "x-a: 5\r\n\r\n").Replace(section)},
		"in place":              {edits: []relay.HeaderEdit{{Name: "from", From: "=?utf-8?q?J=C3=BC?= <ju@old.test>", Value: "<a@new.test>"}}, want: strings.Replace(section, "=?utf-8?q?J=C3=BC?= <ju@old.test>", "<a@new.test>", 1)},
		"a value of another":    {edits: []relay.HeaderEdit{{Name: "from", From: "somebody", Value: "x"}}, want: section},
		"not ASCII":             {edits: []relay.HeaderEdit{{Name: "X-C", Value: "Grüße"}}, want: strings.TrimSuffix(section, "\r\n") + "X-C: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n"},
		"not ASCII, an address": {edits: []relay.HeaderEdit{{Name: "Reply-To", Value: "Jörg Ü. Öl <a@b.test>, \"Ö, C\" <c@d.test>"}}, want: strings.TrimSuffix(section, "\r\n") + "Reply-To: =?utf-8?b?SsO2cmcgw5wuIMOWbA==?= <a@b.test>,\r\n =?utf-8?b?IsOWLCBDIg==?= <c@d.test>\r\n\r\n"},
		"not ASCII, SMTPUTF8":   {edits: []relay.HeaderEdit{{Name: "X-C", Value: "Grüße"}}, utf8: true, want: strings.TrimSuffix(section, "\r\n") + "X-C: Grüße\r\n\r\n"},
		"long": {
			edits: []relay.HeaderEdit{{Name: "X-C", Value: strings.Repeat("word ", 20)}},
			want:  strings.TrimSuffix(section, "\r\n") + "X-C:" + strings.Repeat(" word", 14) + "\r\n" + strings.Repeat(" word", 6) + "\r\n\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := relay.Edit([]byte(section), tt.utf8, tt.edits); got != tt.want {
				t.Errorf("got\n%q, want\n%q", got, tt.want)
			}
		})
	}
}

// Whatever is written, the section stays one: fields, each begun by a name, and one empty
// line at the end.
func FuzzHeaderEdit(f *testing.F) {
	f.Add("X-A", "a\r\n\r\nb", false)
	f.Add("Subject", strings.Repeat("x", 2000)+"\n", true)
	f.Fuzz(func(t *testing.T, name, value string, remove bool) {
		odd := func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }
		if name == "" || len(name) > 70 || strings.ContainsFunc(name, odd) {
			t.Skip() // which no configuration has
		}
		got := relay.Edit([]byte("Subject: a\r\n b\r\n\r\n"), false, []relay.HeaderEdit{{Name: name, Value: value, Remove: remove}})
		lines := strings.Split(strings.TrimSuffix(got, "\r\n"), "\r\n")
		if lines[len(lines)-1] != "" {
			t.Fatalf("no empty line at the end of %q", got)
		}
		for _, line := range lines[:len(lines)-1] {
			if line == "" || len(line) > 998 || strings.ContainsAny(line, "\r\n") {
				t.Fatalf("the line %q in %q", line, got)
			}
		}
	})
}
