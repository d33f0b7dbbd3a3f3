package integration_test

import (
	"testing"
	"time"

	"postrider/integration"
)

// Postfix hands its mail to us as its relayhost.
func TestPostfixBefore(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	postfix := newPostfix(t, ctx, relay.Addr(), "")
	_, ids := runLoad(t, ctx, postfix.Addr(), scaled(200, 5000))
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, ids)
}

// We hand our mail to Postfix.
func TestPostfixBehind(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	postfix := newPostfix(t, ctx, sink.Addr(), "")
	relay := startRelay(t, ctx, smartHost(postfix.Addr()))
	_, ids := runLoad(t, ctx, relay.Addr(), scaled(200, 5000), "--recipients", "3")
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, ids)
}

// Postfix that refuses: each refused recipient bounces once, the others get their mail.
func TestPostfixRefuses(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	const refuse = "smtpd_recipient_restrictions = check_recipient_access inline:{user2@example.net=REJECT}, permit_mynetworks\n"
	postfix := newPostfix(t, ctx, sink.Addr(), refuse)
	relay := startRelay(t, ctx, smartHost(postfix.Addr()))
	if err := send(relay.Addr(), "sender@example.com", "user1@example.net", "user2@example.net", "user3@example.net"); err != nil {
		t.Fatal(err)
	}
	err := sink.Await(ctx, "a message and a notice", func(received []integration.Received) bool { return len(received) == 2 })
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range sink.Received() {
		switch m.From {
		case "":
			if len(m.To) != 1 || m.To[0] != "sender@example.com" {
				t.Errorf("notice to %q, want the sender", m.To)
			}
		case "sender@example.com":
			if len(m.To) != 2 || m.To[0] != "user1@example.net" || m.To[1] != "user3@example.net" {
				t.Errorf("message to %q, want the two that were not refused", m.To)
			}
		default:
			t.Errorf("message from %q", m.From)
		}
	}
}
