package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Postfix is an instance of Postfix with its configuration, queue and log in a folder of
// its own. It takes mail from loopback and sends everything to one next hop.
type Postfix struct {
	// Prepare may change the command before it is started.
	Prepare func(*exec.Cmd)
	*Process
	dir, addr string
}

// postfixMain is main.cf: folder, next hop host and port, and further lines.
const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/lib
command_directory = /usr/sbin
daemon_directory = %[2]s
mail_owner = postfix
setgid_group = postdrop
maillog_file = %[1]s/mail.log
maillog_file_prefixes = %[1]s
myhostname = postfix.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
relayhost = [%[3]s]:%[4]s
smtpd_relay_restrictions = permit_mynetworks, reject
`

// PostfixTuned is what an operator sets for throughput to one next hop.
const PostfixTuned = `default_process_limit = 200
default_destination_concurrency_limit = 20
initial_destination_concurrency = 20
default_destination_concurrency_failed_cohort_limit = 10
in_flow_delay = 0
qmgr_message_active_limit = 40000
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_peername_lookup = no
disable_dns_lookups = yes
max_use = 10000
local_header_rewrite_clients =
`

// postfixMaster is master.cf without any chroot; the first service listens.
const postfixMaster = `%s inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// ErrNotRoot says that Postfix cannot be started, since its master wants to be root.
var ErrNotRoot = errors.New("Postfix starts only as root")

// NewPostfix writes a configuration into the folder, which other users must be able to
// enter: mail goes to the next hop, host:port. The extra lines are added to main.cf.
func NewPostfix(dir, nextHop, extra string) (*Postfix, error) {
	if os.Getuid() != 0 {
		return nil, ErrNotRoot
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	host, nextPort, _ := strings.Cut(nextHop, ":")
	daemons, err := exec.Command("postconf", "-dh", "daemon_directory").Output()
	if err != nil {
		return nil, fmt.Errorf("ask Postfix where its daemons are: %w", err)
	}
	p := &Postfix{dir: dir, addr: fmt.Sprintf("127.0.0.1:%d", port)}
	main := fmt.Sprintf(postfixMain, dir, strings.TrimSpace(string(daemons)), host, nextPort) + extra
	for name, text := range map[string]string{"main.cf": main, "master.cf": fmt.Sprintf(postfixMaster, p.addr)} {
		if err := p.write(name, text); err != nil {
			return nil, err
		}
	}
	for _, folder := range []string{"spool", "lib"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return nil, err
		}
	}
	// Debian's set-gid programs and the check need to know where the pieces are.
	check := exec.Command("sh", "-c", `chown postfix "$0/lib" && cp -r /etc/postfix/postfix-files /etc/postfix/dynamicmaps.cf "$0/etc/" && postfix -c "$0/etc" check`, dir)
	if out, err := check.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a Postfix instance: %w\n%s", err, out)
	}
	return p, nil
}

func (p *Postfix) write(name, text string) error {
	etc := filepath.Join(p.dir, "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644)
}

// Start starts Postfix's master as a child of ours, so that it ends with us, and waits
// for its greeting.
func (p *Postfix) Start(ctx context.Context) error {
	daemons, err := exec.Command("postconf", "-dh", "daemon_directory").Output()
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(strings.TrimSpace(string(daemons)), "master"), "-c", filepath.Join(p.dir, "etc"))
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+filepath.Join(p.dir, "etc"), "MAIL_LOGTAG=postfix")
	if p.Prepare != nil {
		p.Prepare(cmd)
	}
	if p.Process, err = Start(cmd, nil); err != nil {
		return err
	}
	if err := awaitGreeting(ctx, p.Process, p.addr); err != nil {
		p.Kill()
		return fmt.Errorf("%w\n%s", err, p.Log())
	}
	return nil
}

// Addr is where Postfix takes mail.
func (p *Postfix) Addr() string { return p.addr }

// Log gives the mail log.
func (p *Postfix) Log() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "mail.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}
