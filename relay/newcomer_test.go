package relay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// Many senders have much mail in the spool for one host, all of it older than what one more sends. That
// one waits for a few of each of them, not for all that they have.
func TestNewcomerAmongBusySenders(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		const senders, each = 60, 100
		r.options.Connections, r.options.BinMemory = 1, 200*300
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			time.Sleep(time.Millisecond)
			return relaytest.OK(tr)
		}
		r.fill(t)
		for i := range each {
			for k := range senders {
				r.send(t, fmt.Sprintf("a@s%d.example", k), fmt.Sprintf("u%d@x.test", i))
			}
		}
		time.Sleep(time.Second)
		r.send(t, "a@late.example", "late@x.test")
		r.start(t)
		after(20 * time.Second)
		late := r.positions("late")
		if len(late) != 1 || late[0] > senders*10 {
			t.Errorf("the newcomer's message was delivered as number %v of %d", late, senders*each+1)
		}
		r.wantEmpty(t)
	})
}
