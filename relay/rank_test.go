package relay_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// sendAt accepts a message of a priority.
func (r *rig) sendAt(t *testing.T, priority int8, from, to string) {
	t.Helper()
	o := origin
	tx := r.receiver.Begin(&o)
	tx.Mail(context.Background(), relay.Envelope{Sender: address(from), Priority: priority}, 0)
	tx.Rcpt(context.Background(), relay.Recipient{Address: address(to)})
	if _, reply := tx.Data(context.Background(), strings.NewReader(content)); reply != nil {
		t.Fatalf("message refused: %v", reply)
	}
}

// slowly lets each delivery take a second over a single connection.
func (r *rig) slowly() {
	r.options.Connections = 1
	r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
		time.Sleep(time.Second)
		return relaytest.OK(tr)
	}
}

// positions says at which places of the order of delivery the recipients with the prefix came.
func (r *rig) positions(prefix string) (all []int) {
	for i, to := range r.delivered() {
		if strings.HasPrefix(to, prefix) {
			all = append(all, i)
		}
	}
	return all
}

// High priority passes a backlog of the same sender, low priority is passed by it, and neither
// starves the others: also where the mail waits in the spool.
func TestPriority(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.slowly()
		r.start(t)
		for i := range 300 {
			r.sendAt(t, -4, "a@bulk.example", fmt.Sprintf("low%d@x.test", i))
		}
		for i := range 300 {
			r.sendAt(t, 0, "a@bulk.example", fmt.Sprintf("normal%d@x.test", i))
		}
		after(5*time.Second + time.Millisecond)
		r.sendAt(t, 4, "a@bulk.example", "high@x.test")
		after(4 * time.Second)
		if at := r.positions("high"); len(at) != 1 {
			t.Errorf("after 4 s the message of high priority is not out: %v", r.delivered())
		}
		after(100 * time.Second)
		low, normal := len(r.positions("low")), len(r.positions("normal"))
		if low < normal/6 || low > normal/3 {
			t.Errorf("%d of low priority beside %d, want a quarter", low, normal)
		}
		after(10 * time.Minute)
		r.wantEmpty(t)
	})
}

// A mountain of retries that are due does not stand before fresh mail of the same sender.
func TestFreshBeforeRetries(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.slowly()
		slow := r.transport.OnDeliver
		var good atomic.Bool
		r.transport.OnDeliver = func(ctx context.Context, site *relay.Site, tr relay.Transfer, body []byte) relay.Attempt {
			if good.Load() {
				return slow(ctx, site, tr, body)
			}
			return relaytest.Answer(tr, reply(451, "later"))
		}
		r.start(t)
		for i := range 500 {
			r.send(t, "a@bulk.example", fmt.Sprintf("retry%d@x.test", i))
		}
		after(5 * time.Second)
		good.Store(true)
		after(2 * time.Minute)
		if n := len(r.queued(t)); n < 300 {
			t.Fatalf("%d retries left, too few for the test", n)
		}
		r.send(t, "a@bulk.example", "fresh@x.test")
		after(4 * time.Second)
		if at := r.positions("fresh"); len(at) != 1 {
			t.Error("the fresh message waits behind the retries")
		}
		after(time.Hour)
		r.wantEmpty(t)
	})
}

// Retries that hang leave connections to fresh mail.
func TestRetriesLeaveConnections(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.options.Connections, r.options.RetryShare = 4, 0.5
		var hang atomic.Bool
		most, now := 0, 0
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if !strings.HasPrefix(tr.Recipients[0].Address.Local, "retry") {
				return relaytest.OK(tr)
			}
			if hang.Load() {
				r.gauge(func() { now++; most = max(most, now) })
				time.Sleep(10 * time.Minute)
				r.gauge(func() { now-- })
				return relaytest.OK(tr)
			}
			return relaytest.Answer(tr, reply(451, "later"))
		}
		r.start(t)
		for i := range 20 {
			r.send(t, "a@bulk.example", fmt.Sprintf("retry%d@x.test", i))
		}
		after(5 * time.Second)
		hang.Store(true)
		after(5 * time.Minute)
		r.send(t, "a@bulk.example", "fresh@x.test")
		after(time.Second)
		if len(r.positions("fresh")) != 1 {
			t.Error("the fresh message finds no connection")
		}
		r.gauge(func() {
			if most != 2 {
				t.Errorf("%d retries at once, want half of the 4 connections", most)
			}
		})
		after(2 * time.Hour)
		r.wantEmpty(t)
	})
}

// Flows have the shares that they were given.
func TestFlowWeights(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.slowly()
		r.options.Limits.Flows = []relay.FlowLimit{{Name: "big*", Weight: 3}}
		r.start(t)
		for i := range 200 {
			r.send(t, "a@big.example", fmt.Sprintf("big%d@x.test", i))
			r.send(t, "a@small.example", fmt.Sprintf("small%d@x.test", i))
		}
		after(100 * time.Second)
		big, small := len(r.positions("big")), len(r.positions("small"))
		if big < 2*small+10 || big > 4*small {
			t.Errorf("%d of the flow with weight 3 and %d of the other", big, small)
		}
		after(10 * time.Minute)
		r.wantEmpty(t)
	})
}
