package integration_test

import (
	"fmt"
	"testing"
	"time"

	"postrider/outbound/outboundtest"
)

// Mail is answered as soon as ever when none of it can be delivered: half of the destinations are dead, and for the
// others DNS does not answer. It is not parallel, because times are compared.
func TestTakingWhatIsForTheDead(t *testing.T) {
	const domains = 50
	ctx := within(t, 2*time.Minute)
	var zone []string
	for i := range domains {
		zone = append(zone,
			fmt.Sprintf("well%d.test. 3600 IN A 127.0.0.2", i),
			fmt.Sprintf("dead%d.test. 3600 IN A 127.0.0.9", i)) // where nobody listens
	}
	net := newInternet(t, zone...)
	net.dns.Fail("", outboundtest.Fault{Silent: true})
	for i := range domains {
		net.dns.Fail(fmt.Sprintf("well%d.test", i), outboundtest.Fault{})
		net.dns.Fail(fmt.Sprintf("dead%d.test", i), outboundtest.Fault{})
	}
	newSink(t, ctx, fmt.Sprintf("127.0.0.2:%d", net.port))
	relay := startRelay(t, ctx, net.config())
	n := scaled(300, 20_000)
	p99 := func(to ...string) time.Duration {
		var most float64
		for _, address := range to {
			report, _ := runLoad(t, ctx, relay.Addr(), n/len(to), "--sessions", "10", "--rate", "600", "--to-address", address, "--domains", fmt.Sprint(domains))
			most = max(most, report.Latency["p99"])
		}
		return time.Duration(most * float64(time.Millisecond))
	}
	well := p99("user{n}@well{d}.test")
	dead := p99("user{n}@dead{d}.test", "user{n}@silent{n}.test")
	t.Logf("p99 of the 250: %v while all is delivered, %v while nothing is", well, dead)
	limit := 2*well + 2*time.Second
	if long() {
		limit = well + well/2 + 20*time.Millisecond
	}
	if dead > limit {
		t.Errorf("p99 of the 250 is %v while nothing can be delivered, want at most %v", dead, limit)
	}
}
