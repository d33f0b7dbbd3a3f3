package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net/smtp"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"postrider/integration"
)

// built is the program under test: compiled at most once per run, and only when a test
// asks for it.
var built struct {
	dir  string
	once sync.Once
	path string
	err  error
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "postrider-integration")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		built.dir = dir
		return m.Run()
	}())
}

// binary gives the program under test, with the race detector if the test has it.
func binary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() { built.path, built.err = integration.Build(built.dir, integration.Racing()) })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// long says whether the promised numbers are to be used rather than the everyday ones.
func long() bool { return os.Getenv("POSTRIDER_LONG") == "1" }

// scaled gives the everyday number or the long one.
func scaled(everyday, whenLong int) int {
	if long() {
		return whenLong
	}
	return everyday
}

// missing ends a test that cannot run here: as a failure where peers are required.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("POSTRIDER_REQUIRE_PEERS") == "1" {
		t.Fatalf("%s, and POSTRIDER_REQUIRE_PEERS=1", what)
	}
	t.Skip(what)
}

// needs says which programs a test cannot do without.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if name := integration.Lacking(programs...); name != "" {
		missing(t, name+" is not installed")
	}
}

// within gives a context that ends with the test, or when the time is up.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	if long() {
		d *= 10
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// folder gives a temporary folder with a short path, for sockets, that other users can
// enter, for Postfix.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newRelay configures a relay in a folder of its own; it is not started.
func newRelay(t *testing.T, config string) *integration.Relay {
	t.Helper()
	r, err := integration.NewRelay(binary(t), folder(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.Process == nil {
			return
		}
		r.Kill()
		if t.Failed() {
			t.Logf("the relay's last words:\n%s", tail(r.Lines(), 12))
		}
	})
	return r
}

// startRelay starts a relay and gives it when it is ready.
func startRelay(t *testing.T, ctx context.Context, config string) *integration.Relay {
	t.Helper()
	r := newRelay(t, config)
	start(t, ctx, r)
	return r
}

func start(t *testing.T, ctx context.Context, r *integration.Relay) {
	t.Helper()
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

// smartHost is a configuration that sends everything to one host, and retries soon.
func smartHost(addr string) string {
	return fmt.Sprintf("routes:\n  - {name: next, hosts: [%q]}\nretry: {first: 1s, max: 5s}\n", addr)
}

// newSink starts a sink that reports each message.
func newSink(t *testing.T, ctx context.Context, listen string, args ...string) *integration.Sink {
	t.Helper()
	s, err := integration.StartSink(ctx, binary(t), listen, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// newPostfix starts a Postfix that sends all its mail to the next hop.
func newPostfix(t *testing.T, ctx context.Context, nextHop, extra string) *integration.Postfix {
	t.Helper()
	needs(t, "postfix")
	p, err := integration.NewPostfix(folder(t), nextHop, extra)
	if errors.Is(err, integration.ErrNotRoot) {
		missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("Postfix's log:\n%s", p.Log())
		}
	})
	return p
}

// newLoad starts a load of so many messages of 4 KiB.
func newLoad(t *testing.T, to string, messages int, args ...string) *integration.Load {
	t.Helper()
	args = append([]string{"--messages", strconv.Itoa(messages)}, args...)
	l, err := integration.StartLoad(binary(t), to, filepath.Join(folder(t), "ids"), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Kill)
	return l
}

// runLoad sends so many messages and gives the report and their ids. Each must be accepted.
func runLoad(t *testing.T, ctx context.Context, to string, messages int, args ...string) (integration.LoadReport, []string) {
	t.Helper()
	report, ids, err := newLoad(t, to, messages, args...).Report(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if report.Accepted != int64(messages) || len(ids) != messages {
		t.Fatalf("%d of %d messages accepted, failures %v", report.Accepted, messages, report.Failures)
	}
	return report, ids
}

// send sends one message and gives the error of the server.
func send(addr, from string, to ...string) error {
	text := "From: <" + from + ">\r\nSubject: one message\r\n\r\nText of the message.\r\n"
	return smtp.SendMail(addr, nil, from, to, []byte(text))
}

// arrivals are the messages of a load by their id.
func arrivals(received []integration.Received) map[string][]integration.Received {
	byID := make(map[string][]integration.Received)
	for _, m := range received {
		if m.LoadID != "" {
			byID[m.LoadID] = append(byID[m.LoadID], m)
		}
	}
	return byID
}

// awaitAll waits until each of the ids has arrived. What has arrived is looked at once only.
func awaitAll(t *testing.T, ctx context.Context, s *integration.Sink, ids []string) {
	t.Helper()
	left := make(map[string]bool, len(ids))
	for _, id := range ids {
		left[id] = true
	}
	seen := 0
	err := s.Await(ctx, "all accepted messages", func(received []integration.Received) bool {
		for ; seen < len(received); seen++ {
			delete(left, received[seen].LoadID)
		}
		return len(left) == 0
	})
	if err != nil {
		t.Fatalf("%d of %d accepted messages have not arrived: %v", len(left), len(ids), err)
	}
}

// checkOnce checks that each id arrived exactly once, whole, and nothing else did.
func checkOnce(t *testing.T, s *integration.Sink, ids []string) {
	t.Helper()
	byID := arrivals(s.Received())
	for _, id := range ids {
		if n := len(byID[id]); n != 1 {
			t.Errorf("message %s arrived %d times, want once", id, n)
		}
		delete(byID, id)
	}
	for id := range byID {
		t.Errorf("message %s arrived without having been accepted", id)
	}
	for _, m := range s.Received() {
		if m.Damaged {
			t.Errorf("message %s arrived damaged", m.LoadID)
		}
	}
}

// settled stops the relay, starts it again and sends one more message through it: when
// that has arrived, everything that was left in the queue has had its chance to arrive again.
func settled(t *testing.T, ctx context.Context, r *integration.Relay, s *integration.Sink) []string {
	t.Helper()
	if code, err := r.Stop(); err != nil || code != 0 {
		t.Fatalf("stop: exit code %d, %v", code, err)
	}
	start(t, ctx, r)
	_, ids := runLoad(t, ctx, r.Addr(), 1)
	awaitAll(t, ctx, s, ids)
	return ids
}

func tail(lines []string, n int) string {
	text := ""
	for _, line := range lines[max(0, len(lines)-n):] {
		text += line + "\n"
	}
	return text
}
