package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// A host is dead while mail for it piles up; then it comes up.
func TestDeepQueue(t *testing.T) {
	t.Parallel()
	n := scaled(2000, 100_000)
	ctx := within(t, 3*time.Minute)
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	dead := fmt.Sprintf("127.0.0.1:%d", port)
	relay := startRelay(t, ctx, smartHost(dead))
	_, ids := runLoad(t, ctx, relay.Addr(), n, "--sessions", "20")
	checkMemory(t, relay)

	began := time.Now()
	list, err := relay.Command(ctx, "queue", "list")
	if err != nil {
		t.Fatal(err)
	}
	checkWithin(t, "queue list", time.Since(began), 2*time.Second)
	if !strings.Contains(list, "next") {
		t.Errorf("queue list does not name the route:\n%.2000s", list)
	}

	if code, err := relay.Stop(); err != nil || code != 0 {
		t.Fatalf("exit code %d (%v), want 0", code, err)
	}
	began = time.Now()
	start(t, ctx, relay)
	_, more := runLoad(t, ctx, relay.Addr(), 1)
	checkWithin(t, "restart to the first accepted message", time.Since(began), 2*time.Second)
	ids = append(ids, more...)

	time.Sleep(time.Duration(scaled(0, 60)) * time.Second) // so long that the waits between probes have grown
	sink := newSink(t, ctx, dead)
	began = time.Now()
	if err := sink.Await(ctx, "the first message", func(got []integration.Received) bool { return len(got) > 0 }); err != nil {
		t.Fatal(err)
	}
	checkWithin(t, "recovery to the first delivery", time.Since(began), 5*time.Second)
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, ids)
	checkMemory(t, relay)
	if first := sink.Received()[0]; first.Open != 1 {
		t.Errorf("%d connections were open when the first message came, want one that probes", first.Open)
	}
}

// checkMemory holds the relay to its budget. The race detector's own memory is not ours.
func checkMemory(t *testing.T, relay *integration.Relay) {
	t.Helper()
	rss, err := relay.RSS()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resident memory %d MB", rss>>20)
	if budget := int64(150 << 20); rss > budget && !integration.Racing() {
		t.Errorf("resident memory is %d MB, want at most %d MB", rss>>20, budget>>20)
	}
}

// checkWithin holds a time to its budget, of which the race detector gets five times as much.
func checkWithin(t *testing.T, what string, took, budget time.Duration) {
	t.Helper()
	t.Logf("%s took %v", what, took)
	if integration.Racing() {
		budget *= 5
	}
	if took > budget {
		t.Errorf("%s took %v, want at most %v", what, took, budget)
	}
}
