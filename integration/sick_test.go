package integration_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// Of a thousand destinations a hundred are dead, a hundred slow and a hundred greylist. Those
// that are well get their mail as if there were no others, and nothing is lost or repeated.
func TestSickDestinations(t *testing.T) {
	if !long() {
		t.Parallel() // the long form compares rates, and wants the machine for itself
	}
	ctx := within(t, 3*time.Minute)
	each := scaled(10, 100) // of each kind of sick ones, and seven times as many that are well
	net := newInternet(t, sickZone(each)...)
	relay := startRelay(t, ctx, strings.Replace(net.config(), "max: 5s}", "max: 5s, classes: [{class: greylisting, first: 1s, factor: 1, max: 5s}]}", 1))
	at := func(ip string) string { return fmt.Sprintf("%s:%d", ip, net.port) }
	well := newSink(t, ctx, at("127.0.0.2"))
	slow := newSink(t, ctx, at("127.0.0.3"), "--delay", "dot:1s")
	grey := newSink(t, ctx, at("127.0.0.4"), "--reject", "rcpt:451 4.7.1 greylisted, come again@50%")

	n := scaled(2000, 100_000)
	alone, healthy := wellRate(t, ctx, relay, well, n, each)
	var sick []string
	for _, kind := range []string{"dead", "slow", "grey"} {
		_, ids := runLoad(t, ctx, relay.Addr(), 5*each, "--to-address", "user{n}@"+kind+"{d}.test", "--domains", fmt.Sprint(each))
		sick = append(sick, ids...)
	}
	beside := 0.0
	for began := time.Now(); beside == 0 || long() && time.Since(began) < 10*time.Minute; {
		rate, more := wellRate(t, ctx, relay, well, n, each)
		healthy = append(healthy, more...)
		beside = max(beside, rate)
	}
	t.Logf("%.0f messages a second alone, %.0f beside the sick", alone, beside)
	if long() && beside < 0.95*alone {
		t.Errorf("the healthy got %.0f messages a second beside the sick, %.0f alone", beside, alone)
	}
	checkOnce(t, well, healthy)

	// The dead come back, and everything has arrived in the end.
	dead := newSink(t, ctx, at("127.0.0.5"))
	defer func() {
		if t.Failed() {
			list, _ := relay.Command(t.Context(), "queue", "list")
			t.Logf("what is left:\n%.4000s", list)
		}
	}()
	awaitEverywhere(t, ctx, sick, slow, grey, dead)
}

// sickZone has domains of each kind; the dead one's host is not there yet.
func sickZone(each int) []string {
	var records []string
	for kind, ip := range map[string]string{"well": "127.0.0.2", "slow": "127.0.0.3", "grey": "127.0.0.4", "dead": "127.0.0.5"} {
		domains := each
		if kind == "well" {
			domains = 7 * each
		}
		for i := range domains {
			// A host for each domain makes a site for each.
			records = append(records, fmt.Sprintf("%s%d.test. 3600 IN MX 10 mx.%[1]s%d.test.", kind, i),
				fmt.Sprintf("mx.%s%d.test. 3600 IN A %s", kind, i, ip))
		}
	}
	return records
}

// wellRate sends to the healthy destinations and gives how many messages a second arrived.
func wellRate(t *testing.T, ctx context.Context, relay *integration.Relay, well *integration.Sink, n, each int) (float64, []string) {
	t.Helper()
	began := time.Now()
	_, ids := runLoad(t, ctx, relay.Addr(), n, "--to-address", "user{n}@well{d}.test", "--domains", fmt.Sprint(7*each))
	awaitAll(t, ctx, well, ids)
	return float64(n) / time.Since(began).Seconds(), ids
}

// awaitEverywhere waits until each id has arrived at one of the sinks, and checks that none did twice.
func awaitEverywhere(t *testing.T, ctx context.Context, ids []string, sinks ...*integration.Sink) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var received []integration.Received
		for _, s := range sinks {
			received = slices.Concat(received, s.Received())
		}
		byID := arrivals(received)
		missing := 0
		for _, id := range ids {
			if len(byID[id]) > 1 {
				t.Fatalf("message %s arrived %d times", id, len(byID[id]))
			}
			missing += 1 - len(byID[id])
		}
		if missing == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d of %d accepted messages have not arrived: %v", missing, len(ids), ctx.Err())
		}
	}
}
