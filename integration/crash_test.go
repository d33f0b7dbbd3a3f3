package integration_test

import (
	"context"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"postrider/integration"
)

// settleWindow is how long after an arrival at the next hop a crash can still undo our
// knowledge of it: a settle becomes durable within milliseconds, seconds on a machine that is
// busy with the race detector.
const settleWindow = 3 * time.Second

// Killed at random moments under load, the relay loses nothing that it gave a 250 for.
// Messages may be repeated, but only around a crash: what had been delivered when the
// settle was not yet on disk.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := scaled(3, 20)
	ctx := within(t, 3*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := newRelay(t, smartHost(sink.Addr()))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, seed))
	var ids []string
	var kills []time.Time
	for range rounds {
		start(t, ctx, relay)
		accepted := loadUntilKilled(t, ctx, relay, time.Duration(100+rng.Int64N(1900))*time.Millisecond)
		ids = append(ids, accepted...)
		kills = append(kills, time.Now())
		t.Logf("round %d: %d accepted, %d arrived in all", len(kills), len(accepted), len(sink.Received()))
	}
	start(t, ctx, relay)
	awaitAll(t, ctx, sink, ids)
	settled(t, ctx, relay, sink)
	explainRepeats(t, sink.Received(), kills)
}

// loadUntilKilled puts the relay under load, kills it after a time, and gives the ids of
// the messages that it had accepted.
func loadUntilKilled(t *testing.T, ctx context.Context, relay *integration.Relay, after time.Duration) []string {
	t.Helper()
	load := newLoad(t, relay.Addr(), 1_000_000, "--sessions", "20", "--recipients", "2")
	timer := time.NewTimer(after) // a crash at a random moment is what this is about
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
	relay.Kill()
	load.Signal(syscall.SIGINT)
	_, ids, err := load.Report(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// explainRepeats checks that each repeat has a crash between it and the arrival before, and
// that this arrival was so short before the crash that its settle could be lost.
func explainRepeats(t *testing.T, received []integration.Received, kills []time.Time) {
	t.Helper()
	repeats := make([]int, len(kills))
	oldest := make([]time.Duration, len(kills))
	for id, times := range arrivals(received) {
		for _, m := range times {
			if m.Damaged {
				t.Errorf("message %s arrived damaged", id)
			}
		}
		for i := 1; i < len(times); i++ {
			round := killBetween(kills, times[i-1].At, times[i].At)
			if round < 0 {
				t.Errorf("message %s arrived at %v and again at %v, with no crash to explain it", id, times[i-1].At, times[i].At)
				continue
			}
			repeats[round]++
			oldest[round] = max(oldest[round], kills[round].Sub(times[i-1].At))
		}
	}
	total := 0
	for round, n := range repeats {
		t.Logf("round %d: %d messages that had been delivered within %v before the crash were repeated after it", round+1, n, oldest[round].Round(time.Millisecond))
		total += n
	}
	t.Logf("0 lost, %d repeats among %d arrivals", total, len(received))
}

// killBetween gives the crash that lies between two arrivals and can explain the second;
// -1 where there is none.
func killBetween(kills []time.Time, first, second time.Time) int {
	for i, kill := range kills {
		if first.Before(kill) && second.After(kill) && kill.Sub(first) < settleWindow {
			return i
		}
	}
	return -1
}

// A next hop that drops connections and defers makes the relay work hard between crashes.
func TestKillWithBadNextHop(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0",
		"--reject", "rcpt:451 4.2.1 not now@10%", "--reject", "mail:421 4.3.2 busy@1%", "--drop", "data@1%")
	relay := newRelay(t, smartHost(sink.Addr()))
	var ids []string
	for range scaled(2, 10) {
		start(t, ctx, relay)
		load := newLoad(t, relay.Addr(), scaled(200, 2000), "--sessions", "5")
		_, accepted, err := load.Report(ctx)
		if err != nil {
			t.Fatal(err)
		}
		relay.Kill()
		ids = append(ids, accepted...)
	}
	start(t, ctx, relay)
	awaitAll(t, ctx, sink, ids)
}
