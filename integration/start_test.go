package integration_test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// What keeps the relay from starting is said in one clear line, and the exit code is not 0.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	const routes = "routes:\n  - {name: internet, mx: true}\n"
	tests := []struct {
		name   string
		change func(config string) string
		want   []string
	}{
		{"unknown key", func(c string) string { return c + "hostnam: x\n" }, []string{"hostnam", "hostname", "postrider.yaml"}},
		{"port in use", func(c string) string { return strings.Replace(c, "127.0.0.1:0", taken.Addr().String(), 1) }, []string{taken.Addr().String(), "in use"}},
		{"data folder cannot be made", func(c string) string { return strings.Replace(c, "data: \"", "data: \"/dev/null", 1) }, []string{"/dev/null"}},
		{"no such listener address", func(c string) string { return strings.Replace(c, "127.0.0.1:0", "127.0.0.1:notaport", 1) }, []string{"notaport"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, time.Minute)
			relay := newRelay(t, routes)
			config, err := os.ReadFile(relay.Config)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(relay.Config, []byte(tt.change(string(config))), 0o600); err != nil {
				t.Fatal(err)
			}
			p, err := integration.Start(exec.Command(relay.Binary, "serve", "--config", relay.Config), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Kill()
			code, err := p.Wait(ctx)
			if err != nil || code == 0 {
				t.Fatalf("exit code %d (%v), want a failure", code, err)
			}
			checkComplaint(t, p.Lines(), tt.want...)
		})
	}
}

// checkComplaint looks for one line about the fault that names all that is wanted. A config
// error shows its place in the file below that line, so only the first one counts.
func checkComplaint(t *testing.T, lines []string, want ...string) {
	t.Helper()
	text := strings.Join(lines, "\n")
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("stderr does not name %q:\n%s", w, text)
		}
	}
	if strings.Contains(text, "goroutine ") || len(lines) > 12 {
		t.Errorf("stderr is not a clear message:\n%s", text)
	}
}

// A second process on the same spool is refused (conformance X07), and the first goes on.
func TestSpoolLocked(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	second, err := integration.Start(exec.Command(relay.Binary, "serve", "--config", relay.Config), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Kill()
	code, err := second.Wait(ctx)
	if err != nil || code == 0 {
		t.Fatalf("exit code %d (%v), want a failure", code, err)
	}
	checkComplaint(t, second.Lines(), "another process")
	_, ids := runLoad(t, ctx, relay.Addr(), 10)
	awaitAll(t, ctx, sink, ids)
}

// Without a configuration the relay serves loopback; the flags are for containers.
func TestServeByFlags(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	cmd := exec.Command(binary(t), "serve", "--listen", "127.0.0.1:0", "--allow", "127.0.0.0/8", "--relay-host", sink.Addr())
	cmd.Dir = folder(t)
	cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+cmd.Dir)
	p, err := integration.Start(cmd, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	line, err := p.Await(ctx, "listening", func(line string) bool { return strings.Contains(line, "listening") })
	if err != nil {
		t.Fatal(err)
	}
	var listening struct{ Addr string }
	if err := json.Unmarshal([]byte(line), &listening); err != nil || listening.Addr == "" {
		t.Fatalf("no address in %q (%v)", line, err)
	}
	if _, err := p.Await(ctx, "ready", func(line string) bool { return strings.Contains(line, "ready") }); err != nil {
		t.Fatal(err)
	}
	_, ids := runLoad(t, ctx, listening.Addr, 5)
	awaitAll(t, ctx, sink, ids)
}
