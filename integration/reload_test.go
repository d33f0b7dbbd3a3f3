package integration_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/integration"
)

// rewrite changes the relay's configuration, which it reads again when it is told to.
func rewrite(t *testing.T, r *integration.Relay, old, new string) {
	t.Helper()
	text, err := os.ReadFile(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("no %q in %s", old, text)
	}
	if err := os.WriteFile(r.Config, []byte(strings.ReplaceAll(string(text), old, new)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// dead is an address where nobody answers.
func dead(t *testing.T) string {
	t.Helper()
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// What waits behind a dead host leaves by the new route, all of it, once.
func TestReloadMovesTheQueue(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	n := scaled(2000, 10_000)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, fmt.Sprintf("routes:\n  - {name: second, when: 'false', hosts: [%q]}\n  - {name: first, hosts: [%q]}\n", sink.Addr(), dead(t)))
	_, ids := runLoad(t, ctx, relay.Addr(), n)
	ask(t, ctx, relay, "first", "dest", "list")
	rewrite(t, relay, "when: 'false'", "when: 'true'")
	began := time.Now()
	out := ask(t, ctx, relay, "routes[second].when", "reload", "--wait")
	t.Logf("%d messages after %s: %s", n, time.Since(began), out)
	if !strings.Contains(out, "Looked at the queue") {
		t.Errorf("reload says %q", out)
	}
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, ids)
}

// Under load, a hundred reloads that change everything they can lose nothing and end no session.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	one, two := newSink(t, ctx, "127.0.0.1:0"), newSink(t, ctx, "127.0.0.1:0")
	relay := newRelay(t, "routes:\n  - {name: one, hosts: [\""+one.Addr()+"\"]} # the way\n"+
		"rules:\n  - {name: mark, at: data, add_header: [\"X-Generation: 0\"]}\n")
	rewrite(t, relay, "limits: {", "limits: {commands: 1000, ") // the session below has no message
	start(t, ctx, relay)
	session, err := net.Dial("tcp", relay.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	talk := talker(t, session)
	talk("", "220")

	load := newLoad(t, relay.Addr(), scaled(5000, 50_000))
	for i := range 100 {
		at := []string{one.Addr(), two.Addr()}
		rewrite(t, relay, at[i%2], at[(i+1)%2])
		rewrite(t, relay, fmt.Sprintf("X-Generation: %d\"", i), fmt.Sprintf("X-Generation: %d\"", i+1))
		if out, err := relay.Command(ctx, "reload"); err != nil || !strings.Contains(out, "rules[mark].add_header") {
			t.Fatalf("reload %d: %v: %s", i, err, out)
		}
		talk("NOOP", "250")
	}
	_, ids, err := load.Report(ctx)
	if err != nil {
		t.Fatal(err)
	}
	awaitEverywhere(t, ctx, ids, one, two)
	talk("QUIT", "221")
}

// talker sends commands in a session and wants their replies to begin so.
func talker(t *testing.T, conn net.Conn) func(command, want string) {
	r := bufio.NewReader(conn)
	return func(command, want string) {
		t.Helper()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		if command != "" {
			fmt.Fprintf(conn, "%s\r\n", command)
		}
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, want) {
			t.Fatalf("%q: %q, %v, want %s", command, line, err, want)
		}
	}
}

// A file that makes no sense, or half of one, changes nothing; all that is wrong with it is said
// to who asks and in the log, with its place. What takes a new start is named.
func TestReloadOfFaults(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	good, err := os.ReadFile(relay.Config)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(filepath.Dir(relay.Config), "admin.sock")
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"two faults", string(good) + "rules:\n  - {name: a, at: data, when: 'size > '}\n  - {name: b, at: nowhere, reject: \"554 no\"}\n",
			[]string{"rules", "nowhere", ":12:", ":13:"}},
		{"a part of a file", string(good[:len(good)-1]), []string{"the file ends within a line"}},
		{"half a file", string(good[:strings.Index(string(good), "routes:")]), []string{"routes: there are none any more"}},
		{"hardly anything", "hostname: relay.test\n", []string{"routes: there are none any more"}},
		{"what takes a new start", strings.Replace(string(good), "hostname: relay.test", "hostname: other.test", 1), []string{"takes a new start: hostname"}},
		{"a taken address", strings.Replace(string(good), "listen:\n", "listen:\n  - {name: taken, address: \""+sink.Addr()+"\", allow: [\"127.0.0.0/8\"]}\n", 1),
			[]string{`"taken"`, "address already in use"}},
	} {
		if err := os.WriteFile(relay.Config, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		// Without the file, so that it is the relay that finds the faults.
		out, err := output(ctx, relay.Binary, "reload", "--socket", socket)
		for _, want := range tt.want {
			if err == nil || !strings.Contains(out, want) {
				t.Errorf("%s: %v: %q says nothing of %q", tt.name, err, out, want)
			}
		}
		if err := send(relay.Addr(), "a@example.com", "b@example.net"); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	relay.Signal(syscall.SIGHUP)
	if _, err := relay.Await(ctx, "the log's word", func(line string) bool {
		return strings.Contains(line, "not reloaded") && strings.Contains(line, "address already in use")
	}); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(relay.Config, good, 0o600); err != nil {
		t.Fatal(err)
	}
	ask(t, ctx, relay, "says what it said", "reload")
}

func output(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	return string(out), err
}

// SIGHUP takes up listeners, certificates and who may relay; sessions go on.
func TestReloadOfListeners(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	dir := filepath.Dir(relay.Config)
	cert, key, err := integration.WriteCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	at := dead(t)
	session, err := net.Dial("tcp", relay.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	talk := talker(t, session)
	talk("", "220")

	rewrite(t, relay, "listen:\n", fmt.Sprintf("listen:\n  - {name: secure, address: %q, allow: [\"192.0.2.0/24\"], tls: {cert: %q, key: %q, mode: implicit}}\n", at, cert, key))
	hangUp(t, ctx, relay, "listen[secure]: new")
	talk("NOOP", "250")
	first := shown(t, at)
	if err := send(relay.Addr(), "a@example.com", "b@example.net"); err != nil {
		t.Error(err)
	}

	if _, _, err := integration.WriteCertificate(dir); err != nil {
		t.Fatal(err)
	}
	rewrite(t, relay, "192.0.2.0/24", "127.0.0.0/8")
	hangUp(t, ctx, relay, "listen[secure].allow")
	if shown(t, at) == first {
		t.Error("the certificate of before is still shown")
	}
	talk("QUIT", "221")
}

// hangUp has the configuration read again, and awaits what the log says of it.
func hangUp(t *testing.T, ctx context.Context, r *integration.Relay, want string) {
	t.Helper()
	r.Signal(syscall.SIGHUP)
	if _, err := r.Await(ctx, want, func(line string) bool {
		return strings.Contains(line, `"reloaded"`) && strings.Contains(line, want)
	}); err != nil {
		t.Fatal(err)
	}
}

// shown is the serial number of the certificate at an address.
func shown(t *testing.T, addr string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	leaf := conn.ConnectionState().PeerCertificates[0]
	return fmt.Sprintf("%s %x", leaf.SerialNumber, leaf.Signature[:8])
}
