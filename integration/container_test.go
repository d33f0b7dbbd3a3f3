package integration_test

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// recipe is what the container's file says of the program.
type recipe struct {
	build, user                  string
	entrypoint, command, healthy []string
}

func readRecipe(t *testing.T) recipe {
	t.Helper()
	text, err := os.ReadFile("../configs/container/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	find := func(pattern string) string {
		found := regexp.MustCompile(`(?m)^` + pattern).FindStringSubmatch(string(text))
		if found == nil {
			t.Fatalf("the recipe has no %s", pattern)
		}
		return found[1]
	}
	words := func(pattern string) (all []string) {
		if err := json.Unmarshal([]byte(find(pattern)), &all); err != nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		return all
	}
	return recipe{
		build: find(`RUN (CGO_ENABLED=0 go build .*)$`), user: find(`USER (.*)$`),
		entrypoint: words(`ENTRYPOINT (\[.*\])$`), command: words(`CMD (\[.*\])$`), healthy: words(`HEALTHCHECK .* CMD (\[.*\])$`),
	}
}

// contained runs commands with a root that cannot be written, as the recipe's user, without
// any capability; only /data can be written. It takes root to set that up.
type contained struct {
	recipe
	root, data string
}

func newContained(t *testing.T) *contained {
	t.Helper()
	needs(t, "unshare", "setpriv", "chroot")
	if os.Getuid() != 0 {
		missing(t, "a root of its own takes root")
	}
	dir := folder(t)
	c := &contained{recipe: readRecipe(t), root: filepath.Join(dir, "root"), data: filepath.Join(dir, "data")}
	for _, d := range []string{filepath.Join(c.root, "data"), filepath.Join(c.root, "dev"), c.data} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(c.data, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	build := strings.Replace(c.build, "/out/postrider ./cmd/postrider", filepath.Join(c.root, "postrider")+" ../cmd/postrider", 1)
	// Without a build cache all is compiled once, without cgo: some 95 s of CPU time.
	if out, err := exec.CommandContext(within(t, 8*time.Minute), "sh", "-c", build).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	if out, err := c.command("/postrider", "--version").CombinedOutput(); err != nil && strings.Contains(string(out), "unshare failed") {
		missing(t, "this machine gives no mount namespaces")
	} else if err != nil {
		t.Fatalf("--version: %v\n%s", err, out)
	}
	return c
}

func (c *contained) command(args ...string) *exec.Cmd {
	const script = `root=$1 data=$2 user=$3; shift 3
mount --bind "$root" "$root" && mount --bind "$data" "$root/data" && mount -o remount,ro,bind "$root" &&
exec setpriv --no-new-privs --bounding-set -all,+sys_chroot,+setuid,+setgid chroot --userspec="$user" --groups= "$root" "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh", c.root, c.data, c.user}, args...)...)
	cmd.Env = []string{"STATE_DIRECTORY=/data", "PATH=" + os.Getenv("PATH")}
	return cmd
}

// The container's recipe gives a program that needs nothing but itself, and that runs, is
// found healthy and stops, without privileges, with a root that cannot be written.
func TestContainer(t *testing.T) {
	t.Parallel()
	c := newContained(t)
	ctx := within(t, time.Minute)
	file, err := elf.Open(filepath.Join(c.root, "postrider"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 || file.Section(".interp") != nil {
		t.Errorf("the program needs %q (%v)", libraries, err)
	}
	if out, err := c.command(c.healthy...).CombinedOutput(); err == nil {
		t.Errorf("healthy with nothing running: %s", out)
	}

	args := append(append(c.entrypoint, c.recipe.command...), "--listen", "127.0.0.1:0", "--relay-host", "127.0.0.1:9", "--hostname", "relay.test")
	relay, err := integration.Start(c.command(args...), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Kill()
	if _, err := relay.Await(ctx, "ready", func(line string) bool { return strings.Contains(line, `"ready"`) }); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", relay.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65532\t65532\t65532\t65532", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the process is not %q:\n%s", want, status)
		}
	}
	if out, err := c.command(c.healthy...).CombinedOutput(); err != nil {
		t.Errorf("%q: %v: %s", c.healthy, err, out)
	}
	if code, err := relay.Stop(); err != nil || code != 0 {
		t.Errorf("exit code %d (%v), want 0; it said:\n%s", code, err, tail(relay.Lines(), 5))
	}
}
