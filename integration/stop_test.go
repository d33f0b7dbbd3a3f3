package integration_test

import (
	"bufio"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/integration"
)

// SIGTERM under load: running transactions are finished, the exit code is 0, and since
// the end was orderly nothing is lost and nothing repeated.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := newRelay(t, smartHost(sink.Addr()))
	var ids []string
	for range scaled(2, 5) {
		start(t, ctx, relay)
		load := newLoad(t, relay.Addr(), 1_000_000, "--sessions", "20")
		enough := len(sink.Received()) + 200
		err := sink.Await(ctx, "some messages", func(received []integration.Received) bool { return len(received) >= enough })
		if err != nil {
			t.Fatal(err)
		}
		if code, err := relay.Stop(); err != nil || code != 0 {
			t.Fatalf("exit code %d (%v), want 0", code, err)
		}
		load.Signal(syscall.SIGINT)
		_, accepted, err := load.Report(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, accepted...)
	}
	start(t, ctx, relay)
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, append(ids, settled(t, ctx, relay, sink)...))
}

// A hundred clients that say nothing do not hold up the end: each is told 421 (conformance I14).
func TestStopWithIdleSessions(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	relay := startRelay(t, ctx, smartHost("127.0.0.1:9"))
	const sessions = 100
	var readers []*bufio.Reader
	for range sessions {
		conn, err := net.Dial("tcp", relay.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute))
		r := bufio.NewReader(conn)
		if greeting, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(greeting, "220") {
			t.Fatalf("greeting %q (%v)", greeting, err)
		}
		readers = append(readers, r)
	}
	if code, err := relay.Stop(); err != nil || code != 0 {
		t.Fatalf("exit code %d (%v), want 0", code, err)
	}
	for _, r := range readers {
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "421 4.3.2") {
			t.Errorf("a session got %q (%v), want 421 4.3.2", line, err)
		}
	}
}
