package relay_test

import (
	"context"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// RFC 8689 section 5: a notice about mail with REQUIRETLS asks for it too.
func TestNoticeOfRequireTLS(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var got []bool
		r.transport.OnDeliver = func(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
			if tr.Message.Envelope.Sender.IsNull() {
				got = append(got, tr.Message.Envelope.RequireTLS)
				return relaytest.OK(tr)
			}
			return relaytest.Answer(tr, reply(550, "no"))
		}
		r.fill(t)
		r.submit(t, relay.Envelope{Sender: address("a@from.test"), RequireTLS: true}, content, relay.Recipient{Address: address("b@one.test")})
		r.start(t)
		after(time.Hour)
		if len(got) != 1 || !got[0] {
			t.Errorf("notices with REQUIRETLS: %v, want one, true", got)
		}
	})
}
