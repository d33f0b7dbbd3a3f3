package relay_test

import (
	"strings"
	"testing"

	"postrider/relay"
)

// byTLS routes what asks for it to the twin of the route.
func byTLS(_ *relay.Origin, e *relay.Envelope, _ relay.Recipient) (relay.Destination, *relay.Reply) {
	if e.TLSOptional {
		return relay.Destination{Route: relay.TLSOptionalRoute("internet")}, nil
	}
	return relay.Destination{Route: "internet"}, nil
}

// RFC 8689 section 4.1: the field counts only where it says no, and not against REQUIRETLS.
func TestTLSRequired(t *testing.T) {
	for _, tt := range []struct {
		name, fields string
		requireTLS   bool
		want         string
	}{
		{"no", "TLS-Required: No\r\n", false, "internet~tls-optional"},
		{"in small letters", "tls-required:no\r\n", false, "internet~tls-optional"},
		{"yes", "TLS-Required: Yes\r\n", false, "internet"},
		{"another field", "X-TLS-Required: No\r\n", false, "internet"},
		{"none", "", false, "internet"},
		{"with REQUIRETLS", "TLS-Required: No\r\n", true, "internet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.policy.RouteTo = byTLS
				r.fill(t)
				e := relay.Envelope{Sender: address("a@from.test"), RequireTLS: tt.requireTLS}
				r.submit(t, e, tt.fields+content, relay.Recipient{Address: address("b@one.test")}, relay.Recipient{Address: address("c@one.test")})
				ds := r.queued(t)
				if len(ds) != 1 || ds[0].To.Route != tt.want || len(ds[0].Recipients) != 2 {
					t.Errorf("queued %+v, want one for %s", ds, tt.want)
				}
			})
		})
	}
}

// A message of ours is queued and delivered like any other, without asking the rules.
func TestPost(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		no := relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, "no")
		r.policy.OnMail = func(*relay.Origin, *relay.Envelope) *relay.Reply { return no }
		r.policy.OnRcpt = func(*relay.Origin, *relay.Envelope, relay.Recipient) *relay.Reply { return no }
		r.policy.OnData = func(*relay.Message) *relay.Reply { return no }
		r.policy.RouteTo = byTLS
		r.fill(t)
		e := relay.Envelope{Recipients: []relay.Recipient{{Address: address("tls@one.test")}}}
		id, err := r.receiver.Post(t.Context(), e, strings.NewReader("TLS-Required: No\r\n"+content))
		if err != nil {
			t.Fatal(err)
		}
		if ds := r.queued(t); len(ds) != 1 || ds[0].Message != id || ds[0].To.Route != relay.TLSOptionalRoute("internet") {
			t.Fatalf("queued %+v", ds)
		}
		r.start(t)
		after(0)
		if got := r.delivered(); len(got) != 1 || got[0] != "tls@one.test" {
			t.Errorf("delivered %v", got)
		}
		r.wantEmpty(t)
	})
}

// Without a way it waits for one; without a spool nothing is queued.
func TestPostWithoutRoute(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.policy.RouteTo = func(*relay.Origin, *relay.Envelope, relay.Recipient) (relay.Destination, *relay.Reply) {
			return relay.Destination{}, relay.NewReply(451, relay.EnhancedCode{4, 4, 4}, "no route")
		}
		r.fill(t)
		e := relay.Envelope{Recipients: []relay.Recipient{{Address: address("tls@one.test")}}}
		if _, err := r.receiver.Post(t.Context(), e, strings.NewReader(content)); err != nil || len(r.queued(t)) != 1 {
			t.Errorf("queued %+v: %v", r.queued(t), err)
		}
		r.spool = full{r.spool, "commit"}
		r.receive(t)
		if _, err := r.receiver.Post(t.Context(), e, strings.NewReader(content)); err == nil || len(r.queued(t)) != 1 {
			t.Errorf("on a full disk: queued %+v: %v", r.queued(t), err)
		}
	})
}
