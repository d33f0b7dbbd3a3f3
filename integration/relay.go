package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Relay is a postrider serve with its configuration and data. It can be started again
// after it was stopped or killed.
type Relay struct {
	// Binary is the program, Config its configuration file.
	Binary, Config string
	// Prepare may change the command before it is started.
	Prepare func(*exec.Cmd)
	*Process

	mu    sync.Mutex
	addrs map[string]string // by the listener's name
}

// Listener is the name of the relay's only listener, unless a configuration adds others.
const Listener = "local"

// relayConfig is what all configurations have in common. All clients here are one client.
const relayConfig = `hostname: relay.test
data: %q
listen:
  - {name: %s, address: "127.0.0.1:0", allow: ["127.0.0.0/8"]}
limits: {connections_per_client: 1000}
admin: {socket: %q}
log: {level: info, format: json}
`

// NewRelay writes a configuration into the folder: a listener on loopback, data in the
// folder, and the YAML that is given, which begins with routes.
func NewRelay(binary, dir, config string) (*Relay, error) {
	r := &Relay{Binary: binary, Config: filepath.Join(dir, "postrider.yaml")}
	text := fmt.Sprintf(relayConfig, filepath.Join(dir, "data"), Listener, filepath.Join(dir, "admin.sock")) + config
	if err := os.WriteFile(r.Config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return r, nil
}

// logLine is what is read of a line of the relay's log.
type logLine struct {
	Listener string `json:"listener"`
	Addr     string `json:"addr"`
	Message  string `json:"message"`
}

func parseLogLine(line string) (l logLine) {
	json.Unmarshal([]byte(line), &l) // a line that is not JSON is of no interest
	return l
}

// Start starts the relay and waits until it is ready.
func (r *Relay) Start(ctx context.Context) error {
	cmd := exec.Command(r.Binary, "serve", "--config", r.Config)
	if r.Prepare != nil {
		r.Prepare(cmd)
	}
	p, err := Start(cmd, nil)
	if err != nil {
		return err
	}
	addrs := make(map[string]string)
	_, err = p.Await(ctx, "ready", func(line string) bool {
		l := parseLogLine(line)
		if l.Message == "listening" {
			addrs[l.Listener] = l.Addr
		}
		return l.Message == "ready"
	})
	if err == nil && addrs[Listener] == "" {
		err = fmt.Errorf("postrider is ready but did not say where it listens: %q", p.Lines())
	}
	if err != nil {
		p.Kill()
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Process, r.addrs = p, addrs
	return nil
}

// Addr is the address of the listener since the latest start.
func (r *Relay) Addr() string { return r.AddrOf(Listener) }

// AddrOf is the address of another one, "" if there is none of the name.
func (r *Relay) AddrOf(listener string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addrs[listener]
}

// Command runs another command of the program with the relay's configuration, such as
// "queue", "list", and gives what it prints.
func (r *Relay) Command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, r.Binary, append(args, "--config", r.Config)...)
	// A program with the race detector waits for a second at its end, in case of more to report.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("postrider %q: %w: %s", args, err, out)
	}
	return string(out), nil
}
