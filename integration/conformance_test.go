package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// The rows of the conformance list that speak of the process as a whole. X01 is TestKill, X02 a test of
// the spool, X04 are those of full disks, X06 and X09 are the scheduler's, X07 is TestSecondProcess.
func TestConformance(t *testing.T) {
	t.Parallel()
	binary(t) // to make it takes time that no row should be charged with
	for _, row := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"X03", killedBeforeSettle},
		{"X03/some recipients", killedAfterPartialSettle},
		{"X08/delete", func(t *testing.T) { orderedInFlight(t, "delete") }},
		{"X08/hold", func(t *testing.T) { orderedInFlight(t, "hold") }},
		{"X10", oneNeverAnswers},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.run(t)
		})
	}
}

// killedBeforeSettle kills the relay as the next hop says 250: the message is there once more at most.
func killedBeforeSettle(t *testing.T) {
	ctx := within(t, 2*time.Minute)
	dots := make(chan struct{}, 100)
	peer := outboundtest.NewPeer(t, outboundtest.Script{On: func(e outboundtest.Event) outboundtest.Action {
		if e.Phase == outboundtest.Dot {
			dots <- struct{}{}
		}
		return outboundtest.Action{}
	}})
	relay := newRelay(t, smartHost(peer.Addr()))
	repeats := 0
	for round := range scaled(3, 50) {
		start(t, ctx, relay)
		to := fmt.Sprintf("round%d@example.net", round)
		if err := send(relay.Addr(), "a@example.com", to); err != nil {
			t.Fatal(err)
		}
		<-dots
		timer := time.NewTimer(time.Duration(rand.Int64N(int64(4 * time.Millisecond)))) // around the settle
		<-timer.C
		relay.Kill()
		start(t, ctx, relay)
		if err := send(relay.Addr(), "a@example.com", "after-"+to); err != nil {
			t.Fatal(err)
		}
		peer.Wait("what came after the crash, and the queue is empty", func() bool { return arrivedAt(peer, "after-"+to) > 0 })
		awaitEmpty(t, ctx, relay)
		relay.Kill()
		for len(dots) > 0 {
			<-dots
		}
		n := arrivedAt(peer, to)
		if n < 1 || n > 2 {
			t.Errorf("round %d: the message arrived %d times, want once, or twice", round, n)
		}
		repeats += n - 1
	}
	t.Logf("%d repeats", repeats)
}

// arrivedAt counts the messages for a recipient.
func arrivedAt(peer *outboundtest.Peer, to string) (n int) {
	for _, m := range peer.Messages() {
		if slices.Contains(m.To, to) {
			n++
		}
	}
	return n
}

// awaitEmpty waits until nothing is queued that the conditions mean.
func awaitEmpty(t *testing.T, ctx context.Context, relay *integration.Relay, conditions ...string) {
	t.Helper()
	for {
		out, err := relay.Command(ctx, append([]string{"queue", "list", "--json"}, conditions...)...)
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(out) == "" {
			return
		}
	}
}

// killedAfterPartialSettle kills the relay when one of two recipients has been deferred: the other does
// not get the message again.
func killedAfterPartialSettle(t *testing.T) {
	ctx := within(t, time.Minute)
	var open atomic.Bool
	peer := outboundtest.NewPeer(t, outboundtest.Script{On: func(e outboundtest.Event) outboundtest.Action {
		if e.Phase == outboundtest.RCPT && strings.Contains(e.Line, "<later@") && !open.Load() {
			return outboundtest.Action{Reply: "451 4.2.1 later"}
		}
		return outboundtest.Action{}
	}})
	relay := startRelay(t, ctx, smartHost(peer.Addr()))
	if err := send(relay.Addr(), "a@example.com", "now@example.net", "later@example.net"); err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Await(ctx, "a deferral", func(line string) bool { return parseDelivery(line).Message == "deferred" }); err != nil {
		t.Fatal(err)
	}
	// What was written before a 250 is on disk with it.
	if err := send(relay.Addr(), "a@example.com", "other@example.net"); err != nil {
		t.Fatal(err)
	}
	relay.Kill()
	open.Store(true)
	start(t, ctx, relay)
	peer.Wait("the recipient that was deferred", func() bool { return arrivedAt(peer, "later@example.net") > 0 })
	awaitEmpty(t, ctx, relay)
	if now, later := arrivedAt(peer, "now@example.net"), arrivedAt(peer, "later@example.net"); now != 1 || later != 1 {
		t.Errorf("the one that was settled got %d, the one that was not %d, want one each", now, later)
	}
}

// deliveryLine is what is read of a line of the relay's log.
type deliveryLine struct {
	Message    string  `json:"message"`
	To         string  `json:"to"`
	QueueMS    float64 `json:"queue_ms"`
	ConnectMS  float64 `json:"connect_ms"`
	TransmitMS float64 `json:"transmit_ms"`
}

func parseDelivery(line string) (l deliveryLine) {
	json.Unmarshal([]byte(line), &l) // a line that is not JSON is of no interest
	return l
}

// orderedInFlight has mail deleted or held while it is being attempted: each message has one outcome.
func orderedInFlight(t *testing.T, action string) {
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0", "--delay", "dot:500ms")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	const n = 60
	_, ids := runLoad(t, ctx, relay.Addr(), n, "--sessions", "3")
	out, err := relay.Command(ctx, "queue", action, "--all", "--reason", "a test")
	if err != nil {
		t.Fatal(err)
	}
	awaitEmpty(t, ctx, relay, "--state", "active,due,deferred,blocked")
	found := regexp.MustCompile(`(\d+) deliver(y|ies) (deleted|held)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("how many? %q", out)
	}
	changed, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	arrived := arrivals(sink.Received())
	t.Logf("%d delivered, %d %s", len(arrived), changed, action)
	if len(arrived)+changed != n {
		t.Errorf("%d delivered and %d changed, want %d in all: %s", len(arrived), changed, n, out)
	}
	if action == "hold" {
		ask(t, ctx, relay, fmt.Sprintf("%d deliver", changed), "queue", "release", "--all", "--reason", "a test")
		awaitAll(t, ctx, sink, ids)
	}
	for id, times := range arrivals(sink.Received()) {
		if len(times) != 1 {
			t.Errorf("message %s arrived %d times", id, len(times))
		}
	}
}

// oneNeverAnswers compares how long mail for ninety-nine destinations takes with and without a
// hundredth that never answers.
func oneNeverAnswers(t *testing.T) {
	ctx := within(t, time.Minute)
	var zone []string
	for i := range 99 {
		zone = append(zone, fmt.Sprintf("d%d.test. 300 IN MX 10 mx.d%d.test.", i, i), fmt.Sprintf("mx.d%d.test. 300 IN A 127.0.0.2", i))
	}
	net := newInternet(t, append(zone, "silent.test. 300 IN MX 10 mx.silent.test.", "mx.silent.test. 300 IN A 127.0.0.6")...)
	outboundtest.NewPeer(t, outboundtest.Script{
		Listen: fmt.Sprintf("127.0.0.6:%d", net.port), On: outboundtest.At(outboundtest.Dot, outboundtest.Action{Hang: true}),
	})
	newSink(t, ctx, fmt.Sprintf("127.0.0.2:%d", net.port))
	relay := startRelay(t, ctx, net.config())
	n := scaled(300, 20_000)
	alone := deliveryP99(t, ctx, relay, n)
	runLoad(t, ctx, relay.Addr(), n/3, "--to-address", "user{n}@silent.test")
	beside := deliveryP99(t, ctx, relay, n)
	t.Logf("p99 of a delivery: %v alone, %v beside one that never answers", alone, beside)
	// Whoever waited for it would wait for minutes.
	limit := 2*alone + 2*time.Second
	if long() {
		limit = alone + alone/2 + 20*time.Millisecond
	}
	if beside > limit {
		t.Errorf("p99 of a delivery is %v beside one that never answers, want at most %v", beside, limit)
	}
	ask(t, ctx, relay, "carrying", "dest", "show", "internet/silent.test")
}

// deliveryP99 sends mail to the ninety-nine and gives the time in which nearly all of it was delivered
// after it had been taken.
func deliveryP99(t *testing.T, ctx context.Context, relay *integration.Relay, n int) time.Duration {
	t.Helper()
	before := len(wellDelivered(relay))
	runLoad(t, ctx, relay.Addr(), n, "--sessions", "3", "--rate", "600", "--to-address", "user{n}@d{d}.test", "--domains", "99")
	awaitEmpty(t, ctx, relay, "--recipient", "*@d*.test")
	took := wellDelivered(relay)
	took = took[min(before, len(took)):]
	if len(took) == 0 {
		t.Fatal("nothing was delivered")
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// wellDelivered gives how long each delivery to the ninety-nine took, in the order of the log.
func wellDelivered(relay *integration.Relay) (took []time.Duration) {
	for _, line := range relay.Lines() {
		if l := parseDelivery(line); l.Message == "delivered" && !strings.HasSuffix(l.To, "@silent.test") {
			took = append(took, time.Duration((l.QueueMS+l.ConnectMS+l.TransmitMS)*float64(time.Millisecond)))
		}
	}
	return took
}
