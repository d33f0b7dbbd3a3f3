package integration_test

import (
	"strings"
	"testing"
	"time"
)

// Who may relay is held to the limits all the same, and the log says to which.
func TestLimitsOfAllowed(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := newRelay(t, smartHost(sink.Addr()))
	rewrite(t, relay, "limits: {", "limits: {rate_per_client: 2/1h, ")
	start(t, ctx, relay)
	for range 2 {
		if err := send(relay.Addr(), "a@example.com", "b@example.net"); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(relay.Addr(), "a@example.com", "b@example.net"); err == nil || !strings.HasPrefix(err.Error(), "450 ") {
		t.Errorf("a third message: %v, want 450", err)
	}
	if _, err := relay.Await(ctx, "the refusal", func(line string) bool {
		return strings.Contains(line, `"reason":"rate_per_client"`)
	}); err != nil {
		t.Error(err)
	}
}
