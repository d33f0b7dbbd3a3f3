package integration_test

import (
	"context"
	"testing"
	"time"

	"postrider/integration"
)

// window is the default of delivery.connections: the most connections to one site.
const window = 20

func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	_, ids := runLoad(t, ctx, relay.Addr(), scaled(2000, 10_000), "--sessions", "100")
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, append(ids, settled(t, ctx, relay, sink)...))
	summary, err := sink.Summary()
	if err != nil || summary.Peak > window {
		t.Errorf("%d connections at once (%v), want at most the window of %d", summary.Peak, err, window)
	}
	// One connection more for the restart, and some that were opened late.
	if got := summary.Sessions; got > 2*window {
		t.Errorf("%d connections in all for %d messages: they are not reused", got, len(ids))
	}
}

// Clients and next hop that share no code with the relay.
func TestSourceToSink(t *testing.T) {
	t.Parallel()
	needs(t, "smtp-source", "smtp-sink")
	ctx := within(t, 2*time.Minute)
	sink := newSMTPSink(t, ctx)
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	for _, source := range []integration.SMTPSource{
		{Sessions: 100, Size: 4096, Messages: scaled(2000, 10_000)},
		{Sessions: 5, Size: 1 << 20, Messages: scaled(20, 200)},
		{Sessions: 1, Size: 49_000_000, Messages: scaled(1, 5)},
	} {
		source.To = relay.Addr()
		before := sink.Messages()
		if _, err := source.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if err := sink.Await(ctx, before+source.Messages); err != nil {
			t.Fatal(err)
		}
		if got := sink.Messages() - before; got != source.Messages {
			t.Errorf("%d messages of %d bytes arrived, want %d", got, source.Size, source.Messages)
		}
	}
}

func newSMTPSink(t *testing.T, ctx context.Context) *integration.SMTPSink {
	t.Helper()
	sink, err := integration.StartSMTPSink(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Kill)
	return sink
}

func TestManyRecipients(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	const messages, recipients = 3, 1000
	runLoad(t, ctx, relay.Addr(), messages, "--recipients", "1000", "--sessions", "1")
	got := make(map[string]int)
	seen := 0
	err := sink.Await(ctx, "all recipients", func(received []integration.Received) bool {
		for ; seen < len(received); seen++ {
			for _, to := range received[seen].To {
				got[to]++
			}
		}
		return len(got) == messages*recipients
	})
	if err != nil {
		t.Errorf("%d recipients got mail, want %d: %v", len(got), messages*recipients, err)
	}
	for to, n := range got {
		if n != 1 {
			t.Errorf("%s got the message %d times", to, n)
		}
	}
}

// How often the disk is waited for, counted from outside.
func TestSyncsPerMessage(t *testing.T) {
	needs(t, "smtp-source", "smtp-sink", "strace") // not parallel: what is measured is how sessions meet
	// The race detector slows messages so much that few of them meet.
	binary, err := integration.Build(folder(t), false)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		delay time.Duration
		want  float64
	}{
		{"nearly free", 0, 0.5},
		{"2 ms each", 2 * time.Millisecond, 0.1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := within(t, 2*time.Minute)
			sink := newSMTPSink(t, ctx)
			relay := newRelay(t, smartHost(sink.Addr()))
			relay.Binary = binary
			trace := integration.NewSyncTrace(folder(t), tt.delay)
			relay.Prepare = trace.Wrap
			start(t, ctx, relay)
			before, err := trace.Count()
			if err != nil {
				t.Fatal(err)
			}
			n := scaled(3000, 10_000)
			source := integration.SMTPSource{To: relay.Addr(), Sessions: 100, Size: 4096, Messages: n}
			if _, err := source.Run(ctx); err != nil {
				t.Fatal(err)
			}
			if err := sink.Await(ctx, n); err != nil {
				t.Fatal(err)
			}
			after, err := trace.Count()
			if err != nil || after == before {
				t.Fatalf("%d fsyncs counted (%v): there must be some", after-before, err)
			}
			got := float64(after-before) / float64(n)
			t.Logf("%.3f fsyncs per message", got)
			if got >= tt.want {
				t.Errorf("%.3f fsyncs per message at 100 sessions, want under %v", got, tt.want)
			}
		})
	}
}
