package outbound_test

import (
	"strings"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
)

// lmtp scripts a peer that speaks LMTP and answers the end of a message with the replies.
func lmtp(replies ...string) outboundtest.Script {
	return outboundtest.Script{On: func(e outboundtest.Event) outboundtest.Action {
		switch {
		case strings.HasPrefix(e.Line, "LHLO "):
			return outboundtest.Action{Reply: "250-peer.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME"}
		case e.Phase == outboundtest.EHLO || e.Phase == outboundtest.HELO || e.Phase == outboundtest.BDAT:
			return outboundtest.Action{Reply: "500 5.5.1 This is LMTP"}
		case strings.HasPrefix(e.Line, "RCPT TO:<nobody"):
			return outboundtest.Action{Reply: "550 5.1.1 Nobody"}
		case e.Phase == outboundtest.Dot && len(replies) > 0:
			return outboundtest.Action{Reply: strings.Join(replies, "\r\n")}
		case e.Phase == outboundtest.DATA && len(e.Recipients) == 0:
			return outboundtest.Action{Reply: "503 5.5.1 No valid recipients"}
		}
		return outboundtest.Action{}
	}}
}

func overLMTP(o *outbound.Options) { o.Routes[0].LMTP = true }

// After the end of a message each recipient has a reply of its own (RFC 2033 section 4.2).
func TestLMTP(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		replies []string
		to      []string
		want    []string
	}{
		"one":       {[]string{"250 2.0.0 Ok"}, []string{"a@to.test"}, []string{"250"}},
		"each":      {[]string{"250 2.0.0 Ok", "452 4.2.2 Full", "550 5.2.1 Closed"}, []string{"a@to.test", "b@to.test", "c@to.test"}, []string{"250", "452", "550"}},
		"refused":   {[]string{"250 2.0.0 Ok", "250 2.0.0 Ok"}, []string{"a@to.test", "nobody@to.test", "c@to.test"}, []string{"250", "550", "250"}},
		"nobody":    {nil, []string{"nobody@to.test"}, []string{"550"}},
		"closing":   {[]string{"250 2.0.0 Ok", "421 4.3.2 Stopping"}, []string{"a@to.test", "b@to.test", "c@to.test"}, []string{"250", "421", "421 setback"}},
		"multiline": {[]string{"250-2.0.0 Yes\r\n250 2.0.0 Ok", "550 5.2.1 Closed"}, []string{"a@to.test", "b@to.test"}, []string{"250", "550"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, lmtp(tt.replies...))
			conn := dial(t, smart(t, overLMTP, p))
			wantCodes(t, deliver(t, conn, transfer("x\r\n", tt.to...)), strings.Join(tt.want, ","))
			if name == "closing" {
				return
			}
			if !conn.Usable() {
				t.Fatal("the session is over")
			}
			// Another message finds the session in order.
			wantCodes(t, deliver(t, conn, transfer("y\r\n", tt.to...)), strings.Join(tt.want, ","))
		})
	}
}

// A peer that falls silent among its replies keeps what it has said of the recipients before.
func TestLMTPLost(t *testing.T) {
	t.Parallel()
	script := lmtp()
	on := script.On
	script.On = func(e outboundtest.Event) outboundtest.Action {
		if e.Phase == outboundtest.Dot {
			return outboundtest.Action{Reply: "250 2.0.0 Ok", Drop: true}
		}
		return on(e)
	}
	a := deliver(t, dial(t, smart(t, overLMTP, outboundtest.NewPeer(t, script))), transfer("x\r\n", "a@to.test", "b@to.test"))
	if a.Replies[0].Code != 250 || !a.Replies[1].Temporary() || !a.Ambiguous {
		t.Errorf("got %v, ambiguous %t", a.Replies, a.Ambiguous)
	}
}

// An SMTP server is not mistaken for one that speaks LMTP.
func TestLMTPRefused(t *testing.T) {
	t.Parallel()
	reply := dialFault(t, smart(t, overLMTP, outboundtest.NewPeer(t, outboundtest.Script{})))
	if !strings.Contains(reply.Text, "LHLO") && !strings.Contains(reply.String(), "Unknown command") {
		t.Errorf("got %v", reply)
	}
}
