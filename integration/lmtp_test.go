package integration_test

import (
	"fmt"
	"testing"
	"time"

	"postrider/integration"
)

// A peer that shares no code with the relay takes mail by LMTP, several recipients at once.
func TestLMTP(t *testing.T) {
	t.Parallel()
	needs(t, "smtp-sink")
	ctx := within(t, time.Minute)
	sink, err := integration.StartSMTPSink(ctx, "-L")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Kill)
	relay := startRelay(t, ctx, fmt.Sprintf("routes:\n  - {name: boxes, hosts: [%q], lmtp: true}\n", sink.Addr()))
	const messages = 20
	runLoad(t, ctx, relay.Addr(), messages, "--recipients", "3", "--sessions", "2")
	if err := sink.Await(ctx, messages); err != nil {
		t.Fatal(err)
	}
	if got := sink.Messages(); got != messages {
		t.Errorf("%d messages arrived, want %d", got, messages)
	}
}
