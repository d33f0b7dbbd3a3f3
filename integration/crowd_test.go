package integration_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/integration"
)

// crowdConfig lets a crowd in.
const crowdConfig = `hostname: relay.test
data: %[1]q
listen:
  - {name: local, address: "127.0.0.1:0", allow: ["127.0.0.0/8"]}
limits: {connections: 20000, connections_per_client: 20000, idle: %[4]s}
routes:
  - {name: next, hosts: [%[2]q]}
admin: {socket: %[3]q}
`

// crowded starts a relay that a crowd is let into.
func crowded(t *testing.T, ctx context.Context, next, idle string) *integration.Relay {
	t.Helper()
	relay := newRelay(t, "")
	dir := strings.TrimSuffix(relay.Config, "/postrider.yaml")
	write(t, relay.Config, fmt.Sprintf(crowdConfig, dir+"/data", next, dir+"/admin.sock", idle))
	start(t, ctx, relay)
	return relay
}

// guest is a client that has been greeted.
type guest struct {
	net.Conn
	r *bufio.Reader
}

// invite connects so many clients and has each greeted. They come from several addresses,
// as there are not enough ports for all on one.
func invite(t *testing.T, addr string, n int) []*guest {
	t.Helper()
	guests := make([]*guest, n)
	errs := make(chan error, 50)
	for worker := range cap(errs) {
		go func() {
			var err error
			for i := worker; i < n && err == nil; i += cap(errs) {
				guests[i], err = visit(addr, byte(1+i/5000))
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, g := range guests {
			g.Close()
		}
	})
	return guests
}

func visit(addr string, from byte) (*guest, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, from)}, Timeout: 30 * time.Second}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(5 * time.Minute))
	g := newGuest(conn)
	return g, g.await("220")
}

func newGuest(conn net.Conn) *guest { return &guest{conn, bufio.NewReaderSize(conn, 128)} }

func (g *guest) await(code string) error {
	line, err := g.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, code) {
		return fmt.Errorf("got %q (%v), want %s", line, err, code)
	}
	return nil
}

// TestIdleCrowd: many idle sessions cost little memory, and those that work do not notice.
func TestIdleCrowd(t *testing.T) {
	ctx := within(t, 2*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := crowded(t, ctx, sink.Addr(), "10m")
	idle, sessions := scaled(1000, 10_000), scaled(20, 200)
	alone, _ := runLoad(t, ctx, relay.Addr(), scaled(400, 4000), "--sessions", fmt.Sprint(sessions))
	before, err := relay.RSS()
	if err != nil {
		t.Fatal(err)
	}
	guests := invite(t, relay.Addr(), idle)
	after, err := relay.RSS()
	if err != nil {
		t.Fatal(err)
	}
	among, _ := runLoad(t, ctx, relay.Addr(), scaled(400, 4000), "--sessions", fmt.Sprint(sessions))
	each := (after - before) / int64(idle)
	t.Logf("%d idle sessions: %d KiB each, %d MiB in all; %d sessions at work: p99 %.1f ms alone, %.1f ms among them",
		idle, each>>10, after>>20, sessions, alone.Latency["p99"], among.Latency["p99"])
	if !integration.Racing() && each > 24<<10 {
		t.Errorf("an idle session costs %d bytes, want 24 KiB at most", each)
	}
	checkUndisturbed(t, alone, among)
	for _, g := range guests[:10] {
		if _, err := io.WriteString(g, "NOOP\r\n"); err != nil || g.await("250") != nil {
			t.Errorf("an idle session is no longer served (%v)", err)
		}
	}
}

// checkUndisturbed compares how long the 250 took without and among other sessions. The few messages of the short form,
// beside other tests, only show a standstill.
func checkUndisturbed(t *testing.T, alone, among integration.LoadReport) {
	t.Helper()
	most := float64(scaled(20, 4))*alone.Latency["p99"] + float64(scaled(1000, 50))
	if got := among.Latency["p99"]; got > most {
		t.Errorf("p99 of the 250 is %.0f ms among others, %.0f ms without, want at most %.0f ms", got, alone.Latency["p99"], most)
	}
}

// TestSlowLoris: clients that send a byte now and then, of a command or of a message, are
// sent away in time, and those that work do not notice (conformance I13).
func TestSlowLoris(t *testing.T) {
	ctx := within(t, 2*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := crowded(t, ctx, sink.Addr(), "4s")
	sessions, slow := fmt.Sprint(scaled(20, 100)), scaled(100, 1000)
	alone, first := runLoad(t, ctx, relay.Addr(), scaled(400, 4000), "--sessions", sessions)
	before, err := relay.RSS()
	if err != nil {
		t.Fatal(err)
	}
	guests := invite(t, relay.Addr(), slow)
	var crowd sync.WaitGroup
	for i, g := range guests {
		crowd.Go(func() {
			if err := g.dawdle(i%2 == 0); err != nil {
				t.Errorf("a slow client: %v", err)
			}
		})
	}
	among, second := runLoad(t, ctx, relay.Addr(), scaled(400, 4000), "--sessions", sessions)
	after, err := relay.RSS()
	if err != nil {
		t.Fatal(err)
	}
	crowd.Wait()
	each := (after - before) / int64(slow)
	t.Logf("%d slow clients: %d KiB each, %d MiB in all; %s sessions at work: p99 %.1f ms alone, %.1f ms among them",
		slow, each>>10, after>>20, sessions, alone.Latency["p99"], among.Latency["p99"])
	// What the load beside them takes is in it, so that only many say something.
	if !integration.Racing() && slow >= 1000 && each > 128<<10 {
		t.Errorf("a slow client costs %d bytes, want 128 KiB at most", each)
	}
	checkUndisturbed(t, alone, among)
	ids := slices.Concat(first, second)
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, ids)
}

// dawdle sends slowly until it is told to go.
func (g *guest) dawdle(inData bool) error {
	if inData {
		for _, step := range []struct{ line, code string }{
			{"HELO slow.test\r\n", "250"}, {"MAIL FROM:<slow@example.com>\r\n", "250"}, {"RCPT TO:<b@example.net>\r\n", "250"}, {"DATA\r\n", "354"},
		} {
			if _, err := io.WriteString(g, step.line); err != nil {
				return err
			}
			if err := g.await(step.code); err != nil {
				return err
			}
		}
	}
	began := time.Now()
	told := make(chan error, 1)
	go func() { told <- g.await("421 4.4.2") }()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-told:
			if took := time.Since(began); err == nil && took > 20*time.Second {
				err = fmt.Errorf("sent away after %s only", took)
			}
			return err
		case <-tick.C:
			g.Write([]byte("x")) // what fails here shows in the reply
		}
	}
}

// TestStopAmongGuests: with a hundred idle sessions and ten that are sending, SIGTERM tells the
// idle ones, and keeps what the others bring to its end (conformance I14).
func TestStopAmongGuests(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	idle, busy := invite(t, relay.Addr(), 100), invite(t, relay.Addr(), 10)
	for _, g := range busy {
		io.WriteString(g, "HELO busy.test\r\n")
		if err := g.await("250"); err != nil {
			t.Fatal(err)
		}
		io.WriteString(g, "MAIL FROM:<busy@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n")
		for _, code := range []string{"250", "250", "354"} {
			if err := g.await(code); err != nil {
				t.Fatal(err)
			}
		}
		io.WriteString(g, "Subject: half\r\n\r\nof it")
	}
	stopped := make(chan error, 1)
	go func() {
		code, err := relay.Stop()
		if err == nil && code != 0 {
			err = fmt.Errorf("exit code %d", code)
		}
		stopped <- err
	}()
	for _, g := range idle {
		if err := g.await("421 4.3.2"); err != nil {
			t.Errorf("idle: %v", err)
		}
	}
	for _, g := range busy {
		io.WriteString(g, " and the rest\r\n.\r\n")
		if err := g.await("250"); err != nil {
			t.Errorf("busy: %v", err)
		}
		if err := g.await("421 4.3.2"); err != nil {
			t.Errorf("busy: %v", err)
		}
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	start(t, ctx, relay)
	err := sink.Await(ctx, "the ten messages", func(all []integration.Received) bool { return len(all) >= len(busy) })
	if err != nil {
		t.Error(err)
	}
}

// TestOutOfFiles has more clients than the relay has descriptors: it goes on when there
// are some again (conformance I24).
func TestOutOfFiles(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := newRelay(t, smartHost(sink.Addr()))
	relay.Prepare = func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"sh", "-c", `ulimit -n 120 && exec "$0" "$@"`}, cmd.Args...)
		cmd.Path = "/bin/sh"
	}
	start(t, ctx, relay)
	var conns []net.Conn
	for range 200 { // the kernel takes in those that the relay cannot
		conn, err := net.Dial("tcp", relay.Addr())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	_, err := relay.Await(ctx, "the fault", func(line string) bool { return strings.Contains(line, "too many open files") })
	for _, conn := range conns {
		conn.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if err = send(relay.Addr(), "a@example.com", "b@example.net"); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Fatalf("not served again: %v", err)
	}
	if err := sink.Await(ctx, "the message", func(all []integration.Received) bool { return len(all) > 0 }); err != nil {
		t.Error(err)
	}
}
