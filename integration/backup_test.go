package integration_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/integration"
)

// nowhere is a configuration whose mail waits.
func nowhere() string { return smartHost("127.0.0.1:9") }

// leadTo makes the mail of such a relay go to the sink from its next start on.
func leadTo(t *testing.T, r *integration.Relay, sink *integration.Sink) {
	t.Helper()
	text, err := os.ReadFile(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.Config, []byte(strings.Replace(string(text), "127.0.0.1:9", sink.Addr(), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// says runs a command that must print what is wanted.
func says(t *testing.T, ctx context.Context, r *integration.Relay, want string, args ...string) {
	t.Helper()
	out, err := r.Command(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, want) {
		t.Fatalf("%q says %q, want %q", args, out, want)
	}
}

// Messages of one relay, exported while it runs and imported into another, arrive exactly once,
// however often they are imported: before, while and after they are delivered.
func TestExportImport(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	n := scaled(200, 20_000)
	old := startRelay(t, ctx, nowhere())
	_, ids := runLoad(t, ctx, old.Addr(), n, "--sessions", "10")
	dir := filepath.Join(folder(t), "mail")
	says(t, ctx, old, fmt.Sprintf("%d messages exported", n), "queue", "export", dir)
	says(t, ctx, old, fmt.Sprintf("0 messages imported; %d are here", n), "queue", "import", dir)

	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	says(t, ctx, relay, fmt.Sprintf("%d messages would be imported", n), "queue", "import", dir, "--dry-run")
	says(t, ctx, relay, fmt.Sprintf("%d messages imported; 0 are here", n), "queue", "import", dir)
	says(t, ctx, relay, fmt.Sprintf("0 messages imported; %d are here", n), "queue", "import", dir)
	awaitAll(t, ctx, sink, ids)
	relay.Kill()
	start(t, ctx, relay)
	says(t, ctx, relay, fmt.Sprintf("0 messages imported; %d are here", n), "queue", "import", dir)
	checkOnce(t, sink, append(ids, settled(t, ctx, relay, sink)...))
}

// An import that is killed again and again, with the relay, goes on where it was, and one into a
// relay that does not run needs none.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	n := scaled(300, 5000)
	old := startRelay(t, ctx, nowhere())
	_, ids := runLoad(t, ctx, old.Addr(), n, "--sessions", "10")
	if code, err := old.Stop(); err != nil || code != 0 {
		t.Fatalf("exit code %d (%v), want 0", code, err)
	}
	dir := filepath.Join(folder(t), "mail")
	says(t, ctx, old, fmt.Sprintf("%d messages exported", n), "queue", "export", dir)

	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := newRelay(t, nowhere())
	start(t, ctx, relay)
	for range 3 {
		imports := make(chan error, 1)
		go func() {
			_, err := relay.Command(ctx, "queue", "import", dir)
			imports <- err
		}()
		timer := time.NewTimer(50 * time.Millisecond) // somewhere in the middle is what this is about
		<-timer.C
		relay.Kill()
		<-imports // with an error or before the end
		start(t, ctx, relay)
	}
	if code, err := relay.Stop(); err != nil || code != 0 {
		t.Fatalf("exit code %d (%v), want 0", code, err)
	}
	says(t, ctx, relay, "are here or were", "queue", "import", dir)
	leadTo(t, relay, sink)
	start(t, ctx, relay)
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, append(ids, settled(t, ctx, relay, sink)...))
}

// A checkpoint that is made under load, put in the place of a spool, has every message that had its
// 250 before, and is whole.
func TestCheckpointUnderLoad(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	relay := startRelay(t, ctx, nowhere())
	_, before := runLoad(t, ctx, relay.Addr(), scaled(300, 20_000), "--sessions", "10")
	load := newLoad(t, relay.Addr(), 1_000_000, "--sessions", "10")
	dir := filepath.Join(filepath.Dir(relay.Config), "checkpoint")
	says(t, ctx, relay, "is in "+dir, "spool", "checkpoint", dir)
	load.Signal(syscall.SIGINT)
	_, during, err := load.Report(ctx)
	if err != nil {
		t.Fatal(err)
	}
	says(t, ctx, relay, fmt.Sprintf("%d messages", len(before)+len(during)), "spool", "verify")
	relay.Kill()

	says(t, ctx, relay, " 0 faults", "spool", "verify", dir)
	data := filepath.Join(filepath.Dir(relay.Config), "data")
	if err := os.RemoveAll(filepath.Join(data, "spool")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, filepath.Join(data, "spool")); err != nil {
		t.Fatal(err)
	}
	sink := newSink(t, ctx, "127.0.0.1:0")
	leadTo(t, relay, sink)
	start(t, ctx, relay)
	awaitAll(t, ctx, sink, before)
	settled(t, ctx, relay, sink)
	accepted := make(map[string]bool)
	for _, id := range append(before, during...) {
		accepted[id] = true
	}
	extra := 0
	for id, times := range arrivals(sink.Received()) {
		if len(times) > 1 || times[0].Damaged {
			t.Errorf("message %s arrived %d times, damaged: %v", id, len(times), times[0].Damaged)
		}
		if !accepted[id] {
			extra++
		}
	}
	// The one that settled has sent, and those whose 250 the load did not wait for.
	if extra > 1+10 {
		t.Errorf("%d messages arrived that nobody sent", extra)
	}
}
