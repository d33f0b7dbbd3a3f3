package integration_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// execReload is the command of the unit, for a binary and a configuration of ours.
func execReload(t *testing.T, binary, config string) []string {
	t.Helper()
	unit, err := os.ReadFile("../configs/systemd/postrider.service")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(unit)) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecReload="); ok {
			found = append(found, command)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the unit has %q to reload, want one command", found)
	}
	return strings.Fields(strings.NewReplacer("/usr/bin/postrider", binary, "/etc/postrider/postrider.yaml", config).Replace(found[0]))
}

// systemctl reload fails with the reason where the file has a fault, and the relay goes on as it was; a
// good file is in force when it returns.
func TestUnitReload(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	relay := startRelay(t, ctx, nowhere())
	good, err := os.ReadFile(relay.Config)
	if err != nil {
		t.Fatal(err)
	}
	command := execReload(t, relay.Binary, relay.Config)
	for _, tt := range []struct {
		text, says string
		fails      bool
	}{
		{string(good) + "delivery: {idle: 7s}\n", "delivery", false},
		{string(good) + "delivery: {idel: 7s}\n", "idel", true},
		{strings.Replace(string(good), "hostname: relay.test", "hostname: other.test", 1), "hostname", true},
		{string(good), "Reloaded", false},
	} {
		if err := os.WriteFile(relay.Config, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
		if (err != nil) != tt.fails || !strings.Contains(string(out), tt.says) {
			t.Errorf("%q: %s (%v), want %q, a failure: %v", command, out, err, tt.says, tt.fails)
		}
	}
	if err := send(relay.Addr(), "ann@one.test", "bob@two.test"); err != nil {
		t.Errorf("after the faults: %v", err)
	}
}
