package integration_test

import (
	"testing"
	"time"

	"postrider/integration"
)

// The peers by themselves: when this fails, the other tests say nothing about the relay.
func TestPeersAlone(t *testing.T) {
	t.Parallel()
	needs(t, "smtp-source", "smtp-sink")
	ctx := within(t, time.Minute)
	sink, err := integration.StartSMTPSink(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Stop()
	postfix := newPostfix(t, ctx, sink.Addr(), "")
	source := integration.SMTPSource{To: postfix.Addr(), Sessions: 4, Size: 4096, Messages: 50}
	if _, err := source.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := sink.Await(ctx, 50); err != nil {
		t.Fatal(err)
	}
}

// Load and sink without anything between them.
func TestLoadToSink(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	_, ids := runLoad(t, ctx, sink.Addr(), 500)
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, ids)
	summary, err := sink.Summary()
	if err != nil || summary.Messages != 500 {
		t.Errorf("summary %+v (%v), want 500 messages", summary, err)
	}
}
