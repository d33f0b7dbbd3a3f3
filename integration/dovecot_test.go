package integration_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// dovecotConfig has Dovecot take mail by LMTP behind a Unix socket, for the users of a file.
const dovecotConfig = `base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
protocols = lmtp
ssl = no
default_internal_user = %[2]s
default_internal_group = %[3]s
default_login_user = %[2]s
first_valid_uid = 1
first_valid_gid = 0
mail_location = maildir:~/mail
postmaster_address = postmaster@relay.test
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = passwd-file
  args = %[1]s/users
}
service lmtp {
  chroot =
  unix_listener %[1]s/lmtp {
    mode = 0600
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`

// dovecot runs Dovecot with mailboxes for the names at staff.test, and gives its folder, in which
// there are the socket "lmtp" and, for each name, a Maildir "NAME/mail".
func dovecot(t *testing.T, names ...string) string {
	t.Helper()
	needs(t, "dovecot")
	if _, err := os.Stat("/usr/lib/dovecot/lmtp"); err != nil {
		missing(t, "dovecot-lmtpd is not installed")
	}
	// Short, for the socket's sake, and open to the user that mailboxes belong to.
	dir, err := os.MkdirTemp("", "pr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 65534, 65534 // Dovecot writes nothing as root
	}
	var users strings.Builder
	for _, name := range names {
		home := filepath.Join(dir, name)
		fmt.Fprintf(&users, "%s@staff.test::%d:%d::%s\n", name, uid, gid, home)
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(home, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "conf")
	write(t, filepath.Join(dir, "users"), users.String())
	write(t, conf, fmt.Sprintf(dovecotConfig, dir, nameOf(t, "-un"), nameOf(t, "-gn")))
	p, err := integration.Start(exec.Command("dovecot", "-F", "-c", conf), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := p.Stop(); err != nil {
			t.Errorf("dovecot: %v", err)
		}
	})
	awaitListening(t, p, "unix", filepath.Join(dir, "lmtp"))
	return dir
}

// nameOf is what id says of this process.
func nameOf(t *testing.T, what string) string {
	t.Helper()
	out, err := exec.Command("id", what).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// awaitMail waits for a message in a Maildir, and gives it.
func awaitMail(t *testing.T, ctx context.Context, maildir string) string {
	t.Helper()
	for {
		found, err := filepath.Glob(filepath.Join(maildir, "new", "*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			text, err := os.ReadFile(found[0])
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no mail in %s", maildir)
		case <-time.After(10 * time.Millisecond): // another program writes it
		}
	}
}

// Dovecot takes mail by LMTP behind its Unix socket: each mailbox gets it, and who has none is told of.
func TestLMTPDovecot(t *testing.T) {
	t.Parallel()
	dir := dovecot(t, "ann", "bob")
	ctx := within(t, time.Minute)
	peer := outboundtest.NewPeer(t, outboundtest.Script{})
	relay := startRelay(t, ctx, fmt.Sprintf("routes:\n  - {name: boxes, when: recipient.domain == \"staff.test\", hosts: [%q], lmtp: true}\n"+
		"  - {name: others, hosts: [%q]}\n", "unix:"+filepath.Join(dir, "lmtp"), peer.Addr()))
	if err := send(relay.Addr(), "eve@example.com", "ann@staff.test", "bob@staff.test", "nobody@staff.test"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann", "bob"} {
		text := awaitMail(t, ctx, filepath.Join(dir, name, "mail"))
		if !strings.Contains(text, "with LMTP") || !strings.HasSuffix(text, "\nText of the message.\n") {
			t.Errorf("%s has\n%s", name, text)
		}
	}
	awaitCount(t, ctx, peer, 1)
	notice := peer.Messages()[0]
	if text := string(notice.Body); notice.From != "" || !strings.Contains(text, "nobody@staff.test") || !strings.Contains(text, "550 5.1.1") || strings.Contains(text, "ann@") {
		t.Errorf("the sender is told\n%s", text)
	}
}
