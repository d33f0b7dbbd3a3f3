package integration_test

import (
	"fmt"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// Nothing that is wrong with DNS or next hops is felt by who hands us mail: no accept waits
// for the network.
func TestAcceptWaitsForNobody(t *testing.T) {
	if !long() {
		t.Parallel() // the long form compares latencies, and wants the machine for itself
	}
	healthy := latency(t, func(*testing.T) string { return smartHost(newSink(t, t.Context(), "127.0.0.1:0").Addr()) })
	tests := []struct {
		name   string
		config func(*testing.T) string
	}{
		{"DNS is silent", func(t *testing.T) string {
			server := outboundtest.NewDNS(t)
			server.Fail("", outboundtest.Fault{Silent: true})
			return fmt.Sprintf("routes:\n  - {name: internet, mx: true}\ndns: {servers: [%q]}\n", server.Addr())
		}},
		{"next hop is down", func(t *testing.T) string {
			port, err := integration.FreePort()
			if err != nil {
				t.Fatal(err)
			}
			return smartHost(fmt.Sprintf("127.0.0.1:%d", port))
		}},
		{"next hop never greets", func(t *testing.T) string {
			peer := outboundtest.NewPeer(t, outboundtest.Script{On: outboundtest.At(outboundtest.Greeting, outboundtest.Action{Hang: true})})
			return smartHost(peer.Addr())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := latency(t, tt.config)
			t.Logf("p50 %.2f ms, p99 %.2f ms; healthy: p50 %.2f ms, p99 %.2f ms", got["p50"], got["p99"], healthy["p50"], healthy["p99"])
			// Whoever waited for any of these would wait for seconds.
			if got["p99"] > 1000 {
				t.Errorf("p99 of the 250 is %.0f ms", got["p99"])
			}
			if limit := 2*healthy["p99"] + 5; long() && got["p99"] > limit {
				t.Errorf("p99 of the 250 is %.2f ms, want that of a healthy system, at most %.2f ms", got["p99"], limit)
			}
		})
	}
}

// latency gives how long the 250 takes with a configuration, each message being for a
// domain of its own.
func latency(t *testing.T, config func(*testing.T) string) map[string]float64 {
	t.Helper()
	ctx := within(t, time.Minute)
	relay := startRelay(t, ctx, config(t))
	n := scaled(500, 20_000)
	report, _ := runLoad(t, ctx, relay.Addr(), n, "--to-address", "user@d{n}.example.test")
	relay.Kill() // so that it does not disturb the next measurement
	return report.Latency
}
