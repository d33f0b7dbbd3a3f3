package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// EximRelay is an Exim that takes mail from loopback and delivers it to next hops at once, as
// it does when it is installed, unless it is told not to; what has to wait is looked for every few seconds.
type EximRelay struct {
	// Prepare may change the command before it is started.
	Prepare func(*exec.Cmd)

	*Process
	dir, config, addr string
}

// eximRelayConfig takes the program, the folder, the port, further lines and the routes.
const eximRelayConfig = `exim_path = %[1]s
primary_hostname = exim.test
spool_directory = %[2]s/spool
log_file_path = %[2]s/%%slog
pid_file_path = %[2]s/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = %[3]d
deliver_drop_privilege = true
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = accept
smtp_accept_max = 300
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
smtp_connect_backlog = 1000
split_spool_directory = true
message_logs = false
remote_max_parallel = 20
queue_run_max = 20
%[4]s
begin acl
acl_rcpt:
  accept hosts = 127.0.0.0/8
  deny
begin routers
next:
  driver = manualroute
  domains = *
  transport = smtp
  route_list = %[5]s
  self = send
  no_more
begin transports
smtp:
  driver = smtp
  allow_localhost
  hosts_try_fastopen =
  connection_max_messages = 1000
begin retry
* * F,2h,1m; G,16h,1h,1.5
`

// NewEximRelay writes a configuration into the folder. Mail for the domains goes to their next
// hops, host:port, and all else to the one that is named "*".
func NewEximRelay(dir string, nextHops map[string]string, extra string) (*EximRelay, error) {
	program, err := exec.LookPath("exim4")
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	e := &EximRelay{dir: dir, config: filepath.Join(dir, "exim.conf"), addr: fmt.Sprintf("127.0.0.1:%d", port)}
	text := fmt.Appendf(nil, eximRelayConfig, program, dir, port, extra, eximRoutes(nextHops))
	if err := os.WriteFile(e.config, text, 0o644); err != nil {
		return nil, err
	}
	// Exim gives up root and then needs a folder of its own user.
	return e, os.Chmod(dir, 0o777)
}

// eximRoutes is a route_list; the first that matches counts, so "*" comes last.
func eximRoutes(nextHops map[string]string) string {
	var list []string
	for domain, hop := range nextHops {
		route := fmt.Sprintf("%s %s byname", domain, strings.Replace(hop, ":", "::", 1))
		if domain == "*" {
			list = append(list, route)
		} else {
			list = append([]string{route}, list...)
		}
	}
	return strings.Join(list, " ; ")
}

// Start starts Exim in the foreground and waits for its greeting.
func (e *EximRelay) Start(ctx context.Context) (err error) {
	cmd := exec.Command("exim4", "-C", e.config, "-bdf", "-q5s")
	if e.Prepare != nil {
		e.Prepare(cmd)
	}
	if e.Process, err = Start(cmd, nil); err != nil {
		return err
	}
	if err := awaitGreeting(ctx, e.Process, e.addr); err != nil {
		e.Kill()
		return fmt.Errorf("%w\n%s", err, eximLog(e.dir))
	}
	return nil
}

// Addr is where Exim takes mail.
func (e *EximRelay) Addr() string { return e.addr }
