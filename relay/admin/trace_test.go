package admin_test

import (
	"context"
	"iter"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/admin"
)

// past is a history of one message, which was found whatever was asked but by its ID.
type past struct {
	life  relay.Life
	asked relay.Query
}

func (p *past) Record(context.Context, *relay.Message, ...relay.Event) error { return nil }

func (p *past) Life(_ context.Context, id relay.ID) (*relay.Life, error) {
	if id != p.life.ID {
		return nil, relay.ErrNotFound
	}
	return &p.life, nil
}

func (p *past) Find(_ context.Context, q relay.Query) iter.Seq2[*relay.Life, error] {
	p.asked = q
	return func(yield func(*relay.Life, error) bool) {
		for yield(&p.life, nil) {
		}
	}
}

// A message in the queue is shown with what happened before, and what waits of it.
func TestTrace(t *testing.T) {
	t.Parallel()
	p := &past{}
	s := serveWith(t, 1, func(o *admin.Options) { o.History = p })
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p.life = relay.Life{
		Facts: relay.Facts{ID: s.ids[0], Received: at, Sender: "a@example.com", Recipients: []string{"b@one.test", "c@two.test"}, User: "shop", Signatures: []string{"s1._domainkey.example.com"}},
		Events: []relay.Event{
			{At: at, What: "deferred", Recipients: []int{1}, Reply: relay.Reply{Code: 450, Text: "busy", Class: relay.ClassQuota}, Host: "mx.two.test", Attempts: 2, Connect: time.Second},
			{At: at, What: "hold", Recipients: []int{0, 9}, Author: "anna", Reason: "look"},
			{At: at, What: "delivered", Recipients: []int{0}},
			{At: at, What: "discarded", Removed: []string{"d@two.test"}, Reply: relay.Reply{Code: 251, Text: "Redirected to b@one.test by rule r"}},
		},
		Queued: true,
	}
	for name, q := range map[string]admin.TraceQuery{
		"by id":        {ID: s.ids[0].String()},
		"by recipient": {Recipient: "c@two.test", Since: at, Limit: 1},
	} {
		var all []admin.Life
		for l, err := range s.client.Trace(t.Context(), q) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all = append(all, l)
		}
		if len(all) != 1 || len(all[0].Events) != 4 || len(all[0].Waiting) != 2 {
			t.Fatalf("%s: %+v", name, all)
		}
		l := all[0]
		if e := l.Events[0]; e.Event != "deferred" || e.Recipients[0] != "c@two.test" || e.Class != "quota" || e.ConnectMS != 1000 || e.Attempts != 2 || e.Final {
			t.Errorf("%s: %+v", name, e)
		}
		if e := l.Events[1]; e.Author != "anna" || len(e.Recipients) != 1 {
			t.Errorf("%s: %+v", name, e)
		}
		if e := l.Events[3]; !e.Final || len(e.Recipients) != 1 || e.Recipients[0] != "d@two.test" {
			t.Errorf("%s: %+v", name, e)
		}
		if !l.Events[2].Final || l.User != "shop" || len(l.Signatures) != 1 {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if p.asked.Recipient != "c@two.test" || !p.asked.Since.Equal(at) {
		t.Errorf("asked %+v", p.asked)
	}
}

func TestTraceRefuses(t *testing.T) {
	t.Parallel()
	with, without := serveWith(t, 0, func(o *admin.Options) { o.History = &past{} }), serve(t, 0)
	for name, tt := range map[string]struct {
		s    *serving
		q    admin.TraceQuery
		want string
	}{
		"nothing asked": {with, admin.TraceQuery{}, "say what is sought"},
		"a bad id":      {with, admin.TraceQuery{ID: "x"}, "not a queue id"},
		"no history":    {without, admin.TraceQuery{Sender: "a@b.test"}, "no history"},
	} {
		for _, err := range tt.s.client.Trace(t.Context(), tt.q) {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", name, err, tt.want)
			}
		}
	}
	for l, err := range with.client.Trace(t.Context(), admin.TraceQuery{ID: "01K9ZJ6V3S6C0X6M4E5T1B2N3P"}) {
		t.Errorf("an unknown message: %+v, %v", l, err)
	}
}
