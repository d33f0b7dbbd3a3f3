package integration_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// million is the depth of the deep queues, in the long form.
const million = 1_000_000

// One sender has a mountain of mail in the queue. Another one's message does not wait for it,
// be the mountain for one host or for ten thousand domains.
func TestFloodHidesNobody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		domains int
	}{{"one host", 1}, {"many destinations", scaled(200, 10_000)}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := within(t, 3*time.Minute)
			n := scaled(4000, million)
			net := newInternet(t, floodZone(tt.domains)...)
			relay := startRelay(t, ctx, net.config())
			load := []string{"--sessions", "20", "--from", "flood@bulk.test", "--to-address", "user@d{d}.test", "--domains", strconv.Itoa(tt.domains)}
			runLoad(t, ctx, relay.Addr(), n, load...)
			// Each message takes the host 20 ms, so that the mountain stays for the while.
			sink := newSink(t, ctx, fmt.Sprintf("127.0.0.2:%d", net.port), "--delay", "dot:20ms")
			awaitFrom(t, ctx, sink, "flood@bulk.test")
			for i := range 5 {
				from := fmt.Sprintf("person%d@small.test", i)
				if err := send(relay.Addr(), from, "friend@d0.test"); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				awaitFrom(t, ctx, sink, from)
				checkWithin(t, "a message of another sender", time.Since(began), time.Second)
			}
			if got := len(sink.Received()); got > n*9/10 {
				t.Errorf("%d of %d had been delivered: the flood was over, and proves nothing", got, n)
			}
		})
	}
}

// floodZone has the domains d0.test and so on, all at one host.
func floodZone(domains int) []string {
	records := []string{"host.test. 3600 IN A 127.0.0.2"}
	for i := range domains {
		records = append(records, fmt.Sprintf("d%d.test. 3600 IN MX 10 host.test.", i))
	}
	return records
}

// awaitFrom waits for a message of the sender.
func awaitFrom(t *testing.T, ctx context.Context, s *integration.Sink, from string) {
	t.Helper()
	seen := 0
	err := s.Await(ctx, "a message from "+from, func(received []integration.Received) bool {
		for ; seen < len(received); seen++ {
			if received[seen].From == from {
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A million messages wait, each deferred by its next hop for a while: memory is what it was
// with a tenth of them, the relay does next to nothing, and starts again as if there were none.
func TestDeferredMillion(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	n := scaled(4000, million)
	net := newInternet(t, "d0.test. 3600 IN MX 10 host.test.", "host.test. 3600 IN A 127.0.0.2", "well.test. 3600 IN A 127.0.0.3")
	newSink(t, ctx, fmt.Sprintf("127.0.0.2:%d", net.port), "--reject", "rcpt:450 4.2.2 mailbox full")
	well := newSink(t, ctx, fmt.Sprintf("127.0.0.3:%d", net.port))
	relay := startRelay(t, ctx, net.patient())

	fill(t, ctx, relay, n/10, "user@d0.test")
	few := restingMemory(t, relay)
	fill(t, ctx, relay, n-n/10, "user@d0.test")
	checkGrowth(t, few, restingMemory(t, relay))
	checkIdle(t, relay, idleShare)
	checkRestart(t, ctx, relay, well)
}

// A million messages wait for as many domains, and DNS is down. The domains that are remembered are
// still asked for, ever less often, so that the relay is not quite at rest.
func TestMillionDomains(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	n := scaled(4000, million)
	net := newInternet(t, "well.test. 3600 IN A 127.0.0.3")
	net.dns.Fail("", outboundtest.Fault{Rcode: outboundtest.ServFail})
	net.dns.Fail("well.test", outboundtest.Fault{})
	well := newSink(t, ctx, fmt.Sprintf("127.0.0.3:%d", net.port))
	relay := startRelay(t, ctx, net.patient())

	fill(t, ctx, relay, n/10, "user@a{n}.test")
	few := restingMemory(t, relay)
	fill(t, ctx, relay, n-n/10, "user@b{n}.test")
	checkGrowth(t, few, restingMemory(t, relay))
	checkIdle(t, relay, probingShare)
	checkRestart(t, ctx, relay, well)
}

// fill queues so many messages and waits until the relay has nothing more to do with them.
func fill(t *testing.T, ctx context.Context, relay *integration.Relay, n int, to string) {
	t.Helper()
	began := time.Now()
	runLoad(t, ctx, relay.Addr(), n, "--sessions", "50", "--to-address", to)
	t.Logf("%d more in %v", n, time.Since(began).Round(time.Millisecond))
	for busy := 1.0; busy > 0.05; {
		busy = share(t, relay, time.Second)
		if ctx.Err() != nil {
			t.Fatalf("still at work, with %.0f%% of a core: %v", 100*busy, ctx.Err())
		}
	}
}

// share is how much of a core the relay uses during a while.
func share(t *testing.T, relay *integration.Relay, d time.Duration) float64 {
	t.Helper()
	before, err := relay.CPU()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(d) // what is measured is that nothing happens
	after, err := relay.CPU()
	if err != nil {
		t.Fatal(err)
	}
	return (after - before).Seconds() / d.Seconds()
}

// restingMemory is the relay's memory once what the load took on top has gone back, which takes some seconds: a third
// memtable while the last flush lags, and what the collector has freed.
func restingMemory(t *testing.T, relay *integration.Relay) int64 {
	t.Helper()
	const loaded = 256 << 20
	var first, least int64
	for i := range scaled(1, 30) {
		if i > 0 {
			time.Sleep(time.Second)
		}
		rss, err := relay.RSS()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first, least = rss, rss
		}
		least = min(least, rss)
	}
	t.Logf("resident memory %d MB, right after the load %d MB", least>>20, first>>20)
	if first > loaded && !integration.Racing() {
		t.Errorf("resident memory right after the load is %d MB, want at most %d MB", first>>20, loaded>>20)
	}
	return least
}

// checkGrowth holds memory to its budget, and to being flat from a tenth of the queue to all.
func checkGrowth(t *testing.T, few, many int64) {
	t.Helper()
	if integration.Racing() {
		return // the race detector's memory is not ours
	}
	if many > 200<<20 {
		t.Errorf("resident memory is %d MB, want at most 200 MB", many>>20)
	}
	if long() && many > few*3/2 {
		t.Errorf("resident memory grew from %d MB to %d MB with ten times as many messages", few>>20, many>>20)
	}
}

// The most of a core that the relay may use while nothing is due, and while it looks for thousands of domains.
const (
	idleShare    = 0.01
	probingShare = 0.025
)

// checkIdle holds the relay to doing next to nothing, over so long that what it does now and then, such as
// to count its queue for the metrics, has its share. What is asserted is a limit that
// no machine is too busy for; the share is in the log.
func checkIdle(t *testing.T, relay *integration.Relay, limit float64) {
	t.Helper()
	busy := share(t, relay, time.Duration(scaled(2, 300))*time.Second)
	t.Logf("%.2f%% of a core at rest", 100*busy)
	if long() && busy > limit {
		t.Errorf("%.2f%% of a core at rest, want at most %.1f%%", 100*busy, 100*limit)
	}
}

// checkRestart starts the relay again and times the first message through it.
func checkRestart(t *testing.T, ctx context.Context, relay *integration.Relay, well *integration.Sink) {
	t.Helper()
	if code, err := relay.Stop(); err != nil || code != 0 {
		t.Fatalf("exit code %d (%v), want 0", code, err)
	}
	began := time.Now()
	start(t, ctx, relay)
	if err := send(relay.Addr(), "person@small.test", "friend@well.test"); err != nil {
		t.Fatal(err)
	}
	awaitFrom(t, ctx, well, "person@small.test")
	checkWithin(t, "restart to the first delivery", time.Since(began), 2*time.Second)
}
