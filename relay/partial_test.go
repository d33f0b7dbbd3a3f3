package relay_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// A body that fails in a later transaction of an attempt changes nothing for those who have it.
func TestLocalFailureKeepsWhatIsDecided(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var n atomic.Int32
		var sent []string
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			for _, x := range tr.Recipients {
				sent = append(sent, x.Address.String())
			}
			if n.Add(1) > 1 {
				return relaytest.OK(tr)
			}
			a := relaytest.OK(tr)
			a.Local = errors.New("read the body: input/output error")
			a.Replies[1] = *relay.LocalError(a.Local)
			return a
		}
		r.fill(t)
		r.send(t, "sender@example.com", "a@one.test", "b@one.test")
		r.start(t)
		after(time.Hour)
		if len(sent) != 3 || sent[2] != "b@one.test" {
			t.Errorf("sent to %q, want a@ once and b@ twice", sent)
		}
	})
}
