package relay_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// refuseAll refuses for good what is not a notice, and takes notices.
func refuseAll(_ context.Context, _ *relay.Site, tr relay.Transfer, _ []byte) relay.Attempt {
	if tr.Message.Envelope.Sender.IsNull() {
		return relaytest.OK(tr)
	}
	return relaytest.Answer(tr, reply(550, "no"))
}

// A notice to an address that is not ASCII is in the form of RFC 6533, and says that it needs SMTPUTF8
// (D01).
func noticeToUTF8(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var notice relay.Message
		r.transport.OnDeliver = func(ctx context.Context, site *relay.Site, tr relay.Transfer, text []byte) relay.Attempt {
			if tr.Message.Envelope.Sender.IsNull() {
				notice = *tr.Message
			}
			return refuseAll(ctx, site, tr, text)
		}
		r.start(t)
		const sender = "j\u00f6rg@example.com"
		r.submit(t, relay.Envelope{Sender: address(sender), SMTPUTF8: true}, content, relay.Recipient{Address: address("b@one.test")})
		after(time.Second)
		list := r.noticesTo(sender)
		if len(list) != 1 {
			t.Fatalf("%d notices, want 1", len(list))
		}
		wantLines(t, list[0], "To: <"+sender+">", "Content-Type: multipart/report; report-type=global-delivery-status;",
			"Content-Type: message/global-delivery-status", "Content-Type: message/global", "Final-Recipient: rfc822; b@one.test")
		if !notice.Envelope.SMTPUTF8 {
			t.Error("the notice does not say that it needs SMTPUTF8")
		}
		r.wantEmpty(t)
	})
}

// settles is a spool that shows what is settled.
type settles struct {
	relay.Spool
	all *[]relay.Settlement
}

func (s settles) Settle(ctx context.Context, list ...relay.Settlement) error {
	err := s.Spool.Settle(ctx, list...)
	if err == nil {
		*s.all = append(*s.all, list...)
	}
	return err
}

// The end of a delivery and the notice about it are one settlement: while that cannot be made there is
// neither, and afterwards there are both, once (D05).
func bounceInOneBatch(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		var all []relay.Settlement
		store := relaytest.NewSpool()
		r.spool = settles{store, &all}
		r.transport.OnDeliver = refuseAll
		r.start(t)
		store.FailSettle(errors.New("disk"))
		r.send(t, dsnSender, "b@one.test")
		after(10 * time.Second)
		if n := len(r.noticesTo(dsnSender)); n != 0 || len(r.queued(t)) != 1 {
			t.Errorf("before the settlement: %d notices, %d deliveries, want 0 and 1", n, len(r.queued(t)))
		}
		store.FailSettle(nil)
		after(10 * time.Second)
		if n := len(r.noticesTo(dsnSender)); n != 1 || len(r.queued(t)) != 0 {
			t.Errorf("after it: %d notices, %d deliveries, want 1 and 0", n, len(r.queued(t)))
		}
		if len(all) != 2 || len(all[0].Then) != 0 || len(all[0].Notices) != 1 || !strings.Contains(string(all[0].Notices[0].Body), "Action: failed") {
			t.Errorf("settled %+v, want the end with its notice, and the notice's own end", all)
		}
	})
}
