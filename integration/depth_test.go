package integration_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"postrider/integration"
)

// speed is how fast messages went out, by the clock on the wall and by the relay's own.
type speed struct{ perSecond, perCPU float64 }

// speedOf measures how fast n messages go out. They have all arrived when out returns.
func speedOf(t *testing.T, relay *integration.Relay, n int, out func()) speed {
	t.Helper()
	before, err := relay.CPU()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out()
	took := time.Since(began)
	after, err := relay.CPU()
	if err != nil {
		t.Fatal(err)
	}
	return speed{perSecond: float64(n) / took.Seconds(), perCPU: float64(n) / max((after-before).Seconds(), 0.01)}
}

// How fast mail goes out does not depend on how much waits: neither with that much to drain to the same
// host, nor beside as much that was deferred. The long form holds the CPU's time per message to a
// fifth from the shallowest queue to the deepest; POSTRIDER_DEPTH bounds how deep it goes. The
// everyday form sees to it that nothing is lost, repeated or overtaken.
func TestThroughputByDepth(t *testing.T) {
	if !long() {
		t.Parallel() // the long form measures, and wants the machine for itself
	}
	for name, measure := range map[string]func(*testing.T, context.Context, int) speed{"drain": drain, "beside": beside} {
		t.Run(name, func(t *testing.T) {
			var first speed
			for i, depth := range depths(t) {
				ctx := within(t, 3*time.Minute)
				got := measure(t, ctx, depth)
				if i == 0 {
					first = got
				}
				wall, cpu := got.perSecond/first.perSecond, got.perCPU/first.perCPU
				t.Logf("%d queued: %.0f messages a second (%.2f), %.0f a second of CPU (%.2f)", depth, got.perSecond, wall, got.perCPU, cpu)
				if long() && cpu < 0.8 {
					t.Errorf("with %d queued %.0f messages a second of CPU, %.2f of what it is with the fewest, want 0.80", depth, got.perCPU, cpu)
				}
			}
		})
	}
}

// drain measures how fast a queue leaves for one host, once its operator lets it.
func drain(t *testing.T, ctx context.Context, depth int) speed {
	t.Helper()
	sink := newSink(t, ctx, "127.0.0.1:0")
	const sessions = 20
	connections := scaled(1, 20)
	relay := startRelay(t, ctx, smartHost(sink.Addr())+fmt.Sprintf("delivery: {connections: %d}\n", connections))
	defer relay.Kill()
	defer sink.Kill()
	why := []string{"--author", "ann", "--reason", "depth"}
	ask(t, ctx, relay, "next is paused", append([]string{"dest", "pause", "next"}, why...)...)
	_, ids := runLoad(t, ctx, relay.Addr(), depth, "--sessions", fmt.Sprint(sessions))
	got := speedOf(t, relay, depth, func() {
		if _, err := relay.Command(ctx, append([]string{"dest", "resume", "next"}, why...)...); err != nil {
			t.Fatal(err)
		}
		awaitAll(t, ctx, sink, ids)
	})
	checkOnce(t, sink, ids)
	if connections == 1 {
		checkOrder(t, sink, ids, 2*sessions)
	}
	return got
}

// checkOrder checks that messages left in the order in which they had come, but for those that came at
// the same time.
func checkOrder(t *testing.T, s *integration.Sink, ids []string, together int) {
	t.Helper()
	came := make(map[string]int)
	for i, id := range ids {
		came[id] = i
	}
	for left, m := range s.Received() {
		if at := came[m.LoadID]; at > left+together || at < left-together {
			t.Errorf("message %s came as number %d and left as number %d", m.LoadID, at, left)
		}
	}
}

// beside measures how fast mail for a healthy host comes and goes while as much as that waits for its
// next attempt at another.
func beside(t *testing.T, ctx context.Context, depth int) speed {
	t.Helper()
	net := newInternet(t, "sick.test. 3600 IN MX 10 host.test.", "host.test. 3600 IN A 127.0.0.2", "well.test. 3600 IN A 127.0.0.3")
	sick := newSink(t, ctx, fmt.Sprintf("127.0.0.2:%d", net.port), "--reject", "rcpt:450 4.2.2 mailbox full")
	well := newSink(t, ctx, fmt.Sprintf("127.0.0.3:%d", net.port))
	relay := startRelay(t, ctx, net.patient())
	defer relay.Kill()
	defer sick.Kill()
	defer well.Kill()
	fill(t, ctx, relay, depth, "user@sick.test")
	n := scaled(200, 20_000)
	var ids []string
	got := speedOf(t, relay, n, func() {
		_, ids = runLoad(t, ctx, relay.Addr(), n, "--sessions", "20", "--to-address", "user@well.test")
		awaitAll(t, ctx, well, ids)
	})
	checkOnce(t, well, ids)
	return got
}

// depths are how many messages wait, the fewest first.
func depths(t *testing.T) []int {
	t.Helper()
	if !long() {
		return []int{100, 400}
	}
	deepest := million
	if text := os.Getenv("POSTRIDER_DEPTH"); text != "" {
		var err error
		if deepest, err = strconv.Atoi(text); err != nil {
			t.Fatalf("POSTRIDER_DEPTH: %v", err)
		}
	}
	return slices.DeleteFunc([]int{10_000, 100_000, million}, func(n int) bool { return n > deepest })
}
