package relay_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"postrider/relay"
)

// A session screens its own messages, and the refusal is one like any other.
func TestScreen(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.start(t)
		for _, tt := range []struct{ content, want string }{
			{"From: a@example.com\r\n\r\n", ""},
			{"From: a@example.com\r\nfrom : b@example.com,\r\n c@example.com\r\n\r\n", "550 screened"},
		} {
			var o relay.Origin
			var seen []string
			tx := r.receiver.BeginWith(&o, relay.Handling{Screen: func(m *relay.Message) *relay.Reply {
				seen = m.Fields("From")
				return refuseIf(len(seen) > 1, 550, "screened")
			}})
			tx.Mail(context.Background(), relay.Envelope{}, 0)
			tx.Rcpt(context.Background(), relay.Recipient{Address: relay.Address{Local: "b", Domain: "one.test"}})
			_, reply := tx.Data(context.Background(), strings.NewReader(tt.content))
			if got := replyText(reply); got != tt.want {
				t.Errorf("%q: got %q, want %q", tt.content, got, tt.want)
			}
			if want := []string{"a@example.com", "b@example.com, c@example.com"}[:len(seen)]; len(seen) == 0 || !slices.Equal(seen, want) {
				t.Errorf("%q: From fields %q", tt.content, seen)
			}
		}
		synctest.Wait()
		if got := len(r.observer.AllRefused()); got != 1 {
			t.Errorf("%d refusals observed, want 1", got)
		}
	})
}

func replyText(reply *relay.Reply) string {
	if reply == nil {
		return ""
	}
	return reply.String()
}
