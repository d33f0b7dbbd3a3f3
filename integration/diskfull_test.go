package integration_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/integration"
)

// What operators do while the disk is full, on a small file system (conformance X04): each message is
// changed or not, the journal says how far an order came, checkpoints are refused, and when there
// is room again all goes on by itself. Nothing is lost, and nothing that was deleted arrives.
func TestOperateFullDisk(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	disk := ramDisk(t, 192<<20)
	relay := newRelay(t, nowhere())
	rewrite(t, relay, "limits: {", "limits: {min_free: 8MiB, ")
	onDisk(t, relay, disk)
	start(t, ctx, relay)
	n := scaled(400, 5000)
	_, ids := runLoad(t, ctx, relay.Addr(), n, "--size", "1KiB", "--from", "wanted@example.com")
	runLoad(t, ctx, relay.Addr(), 50, "--size", "1KiB", "--from", "unwanted@example.com")

	orders := keepOrdering(t, ctx, relay)
	clear := keepFull(t, ctx, relay, disk)
	copied := filepath.Join(disk.Dir, "copy")
	began := time.Now()
	for _, args := range [][]string{
		{"spool", "checkpoint", copied},
		{"queue", "delete", "--sender", "unwanted@*", "--reason", "a test"},
		{"dest", "pause", "next", "--reason", "a test"},
	} {
		if out, err := relay.Command(ctx, args...); err == nil || !strings.Contains(out, "Insufficient system storage") {
			t.Errorf("postrider %q on a full disk: %v, %q", args, err, out)
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("to refuse took %v", took)
	}
	if _, err := os.Stat(copied); err == nil {
		t.Error("something is left of a checkpoint that was refused")
	}
	ask(t, ctx, relay, "unwanted@example.com", "queue", "list", "--sender", "unwanted@*")
	awaitReply(t, relay, 452)

	clear()
	awaitReply(t, relay, 0)
	orders.stop(t)
	ask(t, ctx, relay, "50 deliveries deleted", "queue", "delete", "--sender", "unwanted@*", "--reason", "a test")
	if _, err := relay.Command(ctx, "queue", "release", "--all", "--reason", "a test"); err != nil {
		t.Fatal(err)
	}
	says(t, ctx, relay, "is in "+copied, "spool", "checkpoint", copied)
	says(t, ctx, relay, " 0 faults", "spool", "verify", copied)
	checkJournal(t, ctx, relay)

	if code, err := relay.Stop(); err != nil || code != 0 {
		t.Fatalf("exit code %d (%v), want 0", code, err)
	}
	sink := newSink(t, ctx, "127.0.0.1:0")
	leadTo(t, relay, sink)
	start(t, ctx, relay)
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, append(ids, settled(t, ctx, relay, sink)...))
}

// ordering is an operator who holds and releases the same mail over and over.
type ordering struct {
	enough context.CancelFunc
	ended  chan error
}

// keepOrdering has mail held and released until it is stopped. Orders may be broken off by a full disk,
// and by nothing else.
func keepOrdering(t *testing.T, ctx context.Context, relay *integration.Relay) *ordering {
	t.Helper()
	until, enough := context.WithCancel(ctx)
	o := &ordering{enough: enough, ended: make(chan error, 1)}
	t.Cleanup(enough)
	go func() {
		for i := 0; until.Err() == nil; i++ {
			out, err := relay.Command(ctx, "queue", []string{"hold", "release"}[i%2], "--sender", "wanted@*", "--reason", "a test")
			if err != nil && !strings.Contains(out, "Insufficient system storage") {
				o.ended <- err
				return
			}
		}
		o.ended <- nil
	}()
	return o
}

// stop waits for the end of the last order.
func (o *ordering) stop(t *testing.T) {
	t.Helper()
	o.enough()
	if err := <-o.ended; err != nil {
		t.Error(err)
	}
}

// keepFull takes all space away, also what the relay gives up and clears, and comes back when the relay
// waits for space. What it gives ends that, and makes room.
func keepFull(t *testing.T, ctx context.Context, relay *integration.Relay, disk *integration.Disk) (clear func()) {
	t.Helper()
	until, enough := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var err error
		for err == nil && until.Err() == nil {
			err = disk.Fill(0)
			select {
			case <-until.Done():
			case <-tick.C:
			}
		}
		ended <- err
	}()
	end := sync.OnceFunc(func() {
		enough()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	if _, err := relay.Await(ctx, "the disk is full", func(line string) bool { return strings.Contains(line, "waiting for space") }); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		end()
		if err := disk.Clear(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkJournal wants every order that has changed something to have come to an end in the journal.
func checkJournal(t *testing.T, ctx context.Context, relay *integration.Relay) {
	t.Helper()
	out, err := relay.Command(ctx, "journal", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Action   string
		UnderWay bool `json:"under_way"`
		Broken   bool `json:"broken_off"`
		Changed  int
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	for i, e := range all {
		if e.UnderWay {
			t.Errorf("entry %d of %d in the journal, %s, is still under way: %+v", i, len(all), e.Action, e)
		}
	}
}

// Killed while its disk is full, and started while it still is, the relay waits for space in place of
// ending again and again, and has lost nothing (conformance X04).
func TestStartOnFullDisk(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	disk := ramDisk(t, 192<<20)
	relay := newRelay(t, nowhere())
	rewrite(t, relay, "limits: {", "limits: {min_free: 8MiB, ")
	onDisk(t, relay, disk)
	start(t, ctx, relay)
	_, ids := runLoad(t, ctx, relay.Addr(), 200)
	for reserve := filepath.Join(disk.Dir, "data", "spool", "reserve"); ; time.Sleep(20 * time.Millisecond) {
		if err := disk.Fill(0); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(reserve); err != nil { // given up, once the relay has looked
			break
		}
	}
	relay.Kill()
	if err := disk.Fill(0); err != nil {
		t.Fatal(err)
	}
	sink := newSink(t, ctx, "127.0.0.1:0")
	leadTo(t, relay, sink)
	started := make(chan error, 1)
	go func() { started <- relay.Start(ctx) }()
	timer := time.NewTimer(time.Second) // the start is to meet a disk without space
	defer timer.Stop()
	select {
	case err := <-started:
		t.Errorf("started on a full disk: %v", err)
	case <-timer.C:
	}
	if err := disk.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, append(ids, settled(t, ctx, relay, sink)...))
}
