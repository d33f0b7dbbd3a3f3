package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"time"
)

// dovecotAuth takes the folder, the names of a user and a group, and the mechanisms. Who authenticates by
// token is asked of the URL in the file "oauth".
const dovecotAuth = `base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
auth_verbose = yes
protocols =
ssl = no
default_internal_user = %[2]s
default_internal_group = %[3]s
default_login_user = %[2]s
disable_plaintext_auth = no
auth_mechanisms = %[4]s
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = %[1]s/oauth
}
passdb {
  driver = passwd-file
  mechanisms = plain login scram-sha-256
  args = %[1]s/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service auth {
  chroot =
  unix_listener %[1]s/auth {
    mode = 0666
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`

// dovecotOAuth takes the address that a token is appended to.
const dovecotOAuth = `introspection_mode = get
introspection_url = %s
username_attribute = username
active_attribute = active
active_value = true
`

// StartDovecotAuth starts Dovecot's authentication server for the user and mechanisms of a Secured, in a
// folder that others can enter. Its socket is "auth" there. Introspection is the address that it asks
// about access tokens, and "" for nobody.
func StartDovecotAuth(ctx context.Context, dir string, s Secured, introspection string) (*Process, error) {
	// It keeps what SCRAM needs and no more, and checks other mechanisms by that.
	hash, err := exec.CommandContext(ctx, "doveadm", "pw", "-s", "SCRAM-SHA-256", "-p", s.Password).Output()
	if err != nil {
		return nil, fmt.Errorf("hash a password for Dovecot: %w", err)
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"users": s.User + ":" + strings.TrimSpace(string(hash)) + "\n",
		"oauth": fmt.Sprintf(dovecotOAuth, introspection),
		"conf":  fmt.Sprintf(dovecotAuth, dir, me.Username, group.Name, strings.ToLower(s.Mechanisms)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	p, err := Start(exec.Command("dovecot", "-F", "-c", filepath.Join(dir, "conf")), nil)
	if err != nil {
		return nil, err
	}
	if err := awaitSocket(ctx, p, filepath.Join(dir, "auth")); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// awaitSocket waits until somebody listens there.
func awaitSocket(ctx context.Context, p *Process, path string) error {
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if c, err := net.Dial("unix", path); err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-p.Done():
			return fmt.Errorf("ended at its start:\n%s", strings.Join(p.Lines(), "\n"))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
