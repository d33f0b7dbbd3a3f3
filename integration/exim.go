package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Exim is an Exim that takes all mail and keeps it in its queue.
type Exim struct {
	*Process
	dir, addr string
}

// eximConfig takes the folder, the port and extra lines.
const eximConfig = `primary_hostname = exim.test
spool_directory = %[1]s/spool
log_file_path = %[1]s/%%slog
pid_file_path = %[1]s/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = %[2]d
tls_advertise_hosts =
acl_smtp_rcpt = accept
acl_smtp_data = accept
queue_only = true
%[3]s
begin acl
begin routers
all:
  driver = redirect
  data = :blackhole:
`

// StartExim starts an Exim in the folder and waits for its greeting. The extra lines are options.
func StartExim(ctx context.Context, dir, extra string) (*Exim, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	return startExim(ctx, dir, port, fmt.Sprintf(eximConfig, dir, port, extra))
}

func startExim(ctx context.Context, dir string, port int, text string) (*Exim, error) {
	e := &Exim{dir: dir, addr: fmt.Sprintf("127.0.0.1:%d", port)}
	config := filepath.Join(dir, "exim.conf")
	err := os.WriteFile(config, []byte(text), 0o644)
	if err != nil {
		return nil, err
	}
	// Exim gives up root and then needs a folder of its own user.
	if err := os.Chmod(dir, 0o777); err != nil {
		return nil, err
	}
	if e.Process, err = Start(exec.Command("exim4", "-C", config, "-bdf"), nil); err != nil {
		return nil, err
	}
	if err := awaitGreeting(ctx, e.Process, e.addr); err != nil {
		e.Kill()
		return nil, fmt.Errorf("%w\n%s", err, e.Log())
	}
	return e, nil
}

// Addr is where Exim takes mail.
func (e *Exim) Addr() string { return e.addr }

// Log gives Exim's logs.
func (e *Exim) Log() string { return eximLog(e.dir) }

func eximLog(dir string) string {
	var all []string
	for _, name := range []string{"mainlog", "rejectlog", "paniclog"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			all = append(all, string(text))
		}
	}
	return strings.Join(all, "")
}

// Taken is how many messages Exim has taken.
func (e *Exim) Taken() int { return strings.Count(e.Log(), " <= ") }
