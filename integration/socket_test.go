package integration_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Users and groups that need no name.
const (
	nobodysUser = 64001
	mailers     = 64002
	bystanders  = 64003
)

// handIn has a mail program give a message to a Unix socket, as somebody of the group where that
// is not negative.
func handIn(ctx context.Context, socket, from string, group int) error {
	cmd := exec.CommandContext(ctx, "swaks", "--socket", socket, "--from", from, "--to", "b@example.net", "--body", "hello\n.\nthere")
	cmd.Dir = "/"
	if group >= 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodysUser, Gid: uint32(group)}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Mail comes by a Unix socket of whoever may connect to it, and goes on as any other; who may changes
// with a reload.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	needs(t, "swaks")
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := newRelay(t, smartHost(sink.Addr()))
	socket := filepath.Join(filepath.Dir(relay.Config), "smtp.sock")
	group, root := os.Getgid(), os.Getuid() == 0
	if root {
		group = mailers
	}
	rewrite(t, relay, "limits: {", fmt.Sprintf("  - {name: socket, address: \"unix:%s\", allow: [127.0.0.1], socket: {mode: 0660, group: %d}}\nlimits: {", socket, group))
	relay.Prepare = func(cmd *exec.Cmd) { // with the umask of the unit
		cmd.Args = append([]string{"sh", "-c", `umask 0077; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path, _ = exec.LookPath("sh")
	}
	start(t, ctx, relay)
	if err := handIn(ctx, socket, "own@example.com", -1); err != nil {
		t.Fatal(err)
	}
	awaitFrom(t, ctx, sink, "own@example.com")
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o660 || info.Sys().(*syscall.Stat_t).Gid != uint32(group) {
		t.Errorf("the socket is %v (%v), want 0660 of group %s", info, err, strconv.Itoa(group))
	}
	if !root {
		t.Skip("only root can be another user")
	}
	if err := handIn(ctx, socket, "member@example.com", mailers); err != nil {
		t.Fatalf("one of the group: %v", err)
	}
	awaitFrom(t, ctx, sink, "member@example.com")
	if err := handIn(ctx, socket, "outsider@example.com", bystanders); err == nil || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("one outside of the group: %v, want that he may not connect", err)
	}

	rewrite(t, relay, fmt.Sprintf("group: %d", mailers), fmt.Sprintf("group: %d", bystanders))
	ask(t, ctx, relay, "listen[socket].socket.group", "reload")
	if err := handIn(ctx, socket, "member@example.com", mailers); err == nil {
		t.Error("one of the former group may still connect")
	}
	if err := handIn(ctx, socket, "newcomer@example.com", bystanders); err != nil {
		t.Fatalf("one of the new group: %v", err)
	}
	awaitFrom(t, ctx, sink, "newcomer@example.com")
}
