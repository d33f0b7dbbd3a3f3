package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postrider/integration"
)

// The units are such as systemd accepts, and leave the service little to break.
func TestSystemdUnits(t *testing.T) {
	t.Parallel()
	needs(t, "systemd-analyze")
	dir := folder(t)
	for _, name := range []string{"postrider.service", "postrider.socket"} {
		text, err := os.ReadFile(filepath.Join("..", "configs", "systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		unit := strings.ReplaceAll(string(text), "/usr/bin/postrider", binary(t))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	service, socket := filepath.Join(dir, "postrider.service"), filepath.Join(dir, "postrider.socket")
	for _, args := range [][]string{
		{"verify", "--man=no", service, socket},
		{"security", "--offline=true", "--threshold=15", service}, // tenths; 15 of 100 is "OK", the best of words
	} {
		out, err := exec.CommandContext(within(t, time.Minute), "systemd-analyze", args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, tail(strings.Split(string(out), "\n"), 20))
		}
	}
}

// newManaged configures a relay whose socket a manager keeps. Where it would listen by itself is
// taken, so that it cannot.
func newManaged(t *testing.T, config string) (*integration.Relay, *integration.Manager) {
	t.Helper()
	manager, err := integration.NewManager(folder(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { manager.Close() })
	relay := newRelay(t, config)
	relay.Prepare = func(cmd *exec.Cmd) { manager.Prepare(cmd, integration.Listener) }
	return relay, manager
}

// Restarted under load with sockets that the manager keeps, the relay refuses no connection,
// loses nothing and repeats nothing; the manager hears that it is ready, alive and stopping.
func TestRestartWithoutRefusal(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay, manager := newManaged(t, smartHost(sink.Addr()))
	manager.Watchdog = 400 * time.Millisecond
	start(t, ctx, relay)
	if relay.Addr() != manager.Addr() {
		t.Fatalf("the relay listens at %s, not at the manager's socket %s", relay.Addr(), manager.Addr())
	}
	clients := newRestless(ctx, manager.Addr())
	restarts := scaled(4, 20)
	for n := range restarts {
		if err := sink.Await(ctx, "mail between restarts", func(r []integration.Received) bool { return len(r) >= 50*(n+1) }); err != nil {
			t.Fatal(err)
		}
		if code, err := relay.Stop(); err != nil || code != 0 {
			t.Fatalf("exit code %d (%v), want 0", code, err)
		}
		start(t, ctx, relay)
	}
	accepted, deferred, failures := clients.stop()
	for _, err := range failures {
		t.Errorf("a client met: %v", err)
	}
	if err := sink.Await(ctx, "all that was accepted", func(r []integration.Received) bool { return len(r) >= accepted }); err != nil {
		t.Error(err)
	}
	checkOnceEach(t, sink, accepted)
	t.Logf("%d restarts, %d messages accepted, %d sessions asked with 421 to come again", restarts, accepted, deferred)
	if err := manager.Await(ctx, "WATCHDOG=1", 3*restarts); err != nil {
		t.Error(err)
	}
	if ready, stopping := manager.Count("READY=1"), manager.Count("STOPPING=1"); ready != restarts+1 || stopping != restarts {
		t.Errorf("heard READY %d times and STOPPING %d times, want %d and %d", ready, stopping, restarts+1, restarts)
	}
}

// checkOnceEach checks that so many messages came, each with a sender of its own.
func checkOnceEach(t *testing.T, sink *integration.Sink, want int) {
	t.Helper()
	times := make(map[string]int)
	for _, m := range sink.Received() {
		if times[m.From]++; times[m.From] == 2 {
			t.Errorf("the message of %s arrived twice", m.From)
		}
	}
	if len(times) != want {
		t.Errorf("%d messages arrived, want the %d that were accepted", len(times), want)
	}
}

// restless are clients that connect anew for each message, whatever goes on.
type restless struct {
	end  context.CancelFunc
	wait sync.WaitGroup

	mu                 sync.Mutex
	accepted, deferred int
	failures           []error
}

func newRestless(ctx context.Context, addr string) *restless {
	ctx, end := context.WithCancel(ctx)
	r := &restless{end: end}
	for client := range 8 {
		r.wait.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				r.visit(addr, fmt.Sprintf("c%d.n%d@example.com", client, n))
			}
		})
	}
	return r
}

// visit sends a message. Whoever connects must be greeted or told 421, and whoever has sent a
// message whole must be answered; between commands a session may be asked to come again.
func (r *restless) visit(addr, from string) {
	asked, err := submit(addr, from)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.failures = append(r.failures, err)
	case asked:
		r.deferred++
	default:
		r.accepted++
	}
}

// submit says with asked that the session was ended in good order before the message was sent.
func submit(addr, from string) (asked bool, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	client, err := smtp.NewClient(conn, "relay.test")
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code == 421 {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("greeting: %w", err)
	}
	if client.Mail(from) != nil || client.Rcpt("someone@example.net") != nil {
		return true, nil
	}
	w, err := client.Data()
	if err != nil {
		return true, nil
	}
	_, err = fmt.Fprintf(w, "From: <%s>\r\n\r\nText.\r\n", from)
	return false, errors.Join(err, w.Close())
}

func (r *restless) stop() (accepted, deferred int, failures []error) {
	r.end()
	r.wait.Wait()
	return r.accepted, r.deferred, r.failures
}

// A socket that no listener is for is refused by name: nobody would serve it.
func TestSocketOfNobody(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	relay, manager := newManaged(t, smartHost("127.0.0.1:9"))
	relay.Prepare = func(cmd *exec.Cmd) { manager.Prepare(cmd, "submission") }
	err := relay.Start(ctx)
	if err == nil || !strings.Contains(err.Error(), `no listener has the name "submission"`) {
		t.Errorf("got %v, want the name of the socket that nobody serves", err)
	}
}

// The first SIGTERM lets a message that is being received go on, the second one ends all at once.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	relay := startRelay(t, ctx, smartHost("127.0.0.1:9"))
	client, err := smtp.Dial(relay.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := errors.Join(client.Mail("a@example.com"), client.Rcpt("b@example.net")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Data(); err != nil {
		t.Fatal(err)
	}
	relay.Signal(syscall.SIGTERM)
	if _, err := relay.Await(ctx, "stopping", func(line string) bool { return strings.Contains(line, `"stopping"`) }); err != nil {
		t.Fatal(err)
	}
	relay.Signal(syscall.SIGTERM)
	soon, cancel := context.WithTimeout(ctx, 10*time.Second) // well under the 30 s that the message would have
	defer cancel()
	if code, err := relay.Wait(soon); err != nil || code != -1 {
		t.Errorf("exit code %d (%v), want an end by the signal", code, err)
	}
}
