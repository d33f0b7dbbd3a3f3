package relay_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"postrider/relay"
)

// verifier stamps a message with the length of its body.
type verifier struct{ seen relay.Verified }

func (v verifier) Verify(_ context.Context, m *relay.Message, body io.Reader) (relay.Verified, []byte) {
	all, err := io.ReadAll(body)
	if err != nil || !strings.HasSuffix(content, string(all)) || len(all) == 0 {
		return relay.Verified{}, m.Header
	}
	return v.seen, append([]byte("Authentication-Results: relay.test\r\n"), m.Header...)
}

// What a verifier finds is there when the policy decides, and its stamp goes with the message.
func TestVerifies(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.start(t)
		want := relay.Verified{SPF: "pass", DKIM: "fail", DMARC: "pass", DMARCPolicy: "reject"}
		var got relay.Verified
		r.policy.OnData = func(m *relay.Message) *relay.Reply { got = m.Verified; return nil }
		tx := r.receiver.BeginWith(&relay.Origin{}, relay.Handling{Verifier: verifier{want}})
		ctx := context.Background()
		wantReply(t, "MAIL", tx.Mail(ctx, relay.Envelope{Sender: address("a@example.com")}, 0), 0)
		wantReply(t, "RCPT", tx.Rcpt(ctx, relay.Recipient{Address: address("b@one.test")}), 0)
		_, reply := tx.Data(ctx, strings.NewReader(content))
		wantReply(t, "DATA", reply, 0)
		synctest.Wait()
		if got != want {
			t.Errorf("the policy saw %+v", got)
		}
		sent := r.transport.AllDelivered()
		if len(sent) != 1 || !strings.HasPrefix(sent[0].Content, "Authentication-Results: relay.test\r\nReceived: ") {
			t.Fatalf("delivered %+v", sent)
		}
		if a := r.observer.AllAccepted(); len(a) != 1 || a[0].Message.Size != int64(len(sent[0].Content)) {
			t.Errorf("accepted %+v", a)
		}
	})
}
