package integration_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// lists are the commands that print what may be long.
func lists() [][]string {
	return [][]string{
		{"queue", "list", "--limit", "0"}, {"queue", "list", "--limit", "0", "--json"}, {"queue", "list", "--postfix"},
		{"dest", "list"}, {"dest", "show", "next"}, {"dest", "limits", "next"}, {"dest", "pauses"}, {"journal"}, {"stats"}, {"top", "--once"},
		{"trace", "--sender", "load@example.com", "--limit", "1000"}, {"suppression", "list"}, {"transcript", "list"},
	}
}

// Where nobody watches there is no colour and no progress, and a reader that has seen enough ends a
// command without a word.
func TestPipes(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	relay := startRelay(t, ctx, nowhere()+"suppression: {keep: 1d}\n")
	runLoad(t, ctx, relay.Addr(), 500, "--sessions", "10")
	ask(t, ctx, relay, "500 deliveries held", "queue", "hold", "--all", "--reason", "a test")
	for _, args := range lists() {
		cmd := exec.CommandContext(ctx, relay.Binary, append(args, "--config", relay.Config)...)
		var out, says bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &says
		if err := cmd.Run(); err != nil {
			t.Errorf("%q: %v: %s", args, err, &says)
		}
		if bytes.ContainsAny(append(out.Bytes(), says.Bytes()...), "\x1b\r") {
			t.Errorf("%q draws where nobody watches: %q %q", args, &out, &says)
		}
	}
	for _, args := range lists()[:3] {
		code, says := readOneLine(t, ctx, relay, args)
		if says != "" {
			t.Errorf("%q, when its reader goes: %q (exit code %d)", args, says, code)
		}
	}
}

// readOneLine reads the first line of a command and goes, as head -1 does.
func readOneLine(t *testing.T, ctx context.Context, r *integration.Relay, args []string) (code int, says string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, r.Binary, append(args, "--config", r.Config)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 10)); err != nil {
		t.Errorf("%q: %v", args, err)
	}
	out.Close()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}

// At a terminal there is colour, unless NO_COLOR is set, and long work shows that it goes on.
func TestTerminal(t *testing.T) {
	t.Parallel()
	needs(t, "script")
	ctx := within(t, 2*time.Minute)
	relay := startRelay(t, ctx, nowhere())
	runLoad(t, ctx, relay.Addr(), 300, "--sessions", "10")
	at := func(args string, env ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, "script", "-qec", relay.Binary+" "+args+" --config "+relay.Config, "/dev/null")
		cmd.Env = append(append(os.Environ(), "TERM=xterm", "COLUMNS=120"), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", args, err, out)
		}
		return string(out)
	}
	eventually(t, "the host to be given up", func() bool {
		out, err := relay.Command(ctx, "dest", "list")
		return err == nil && strings.Contains(out, "closed")
	})
	if out := at("dest list"); !strings.Contains(out, "\x1b[31mclosed\x1b[0m") {
		t.Errorf("no colour at a terminal: %q", out)
	}
	if out := at("dest list", "NO_COLOR=1"); strings.Contains(out, "\x1b[") {
		t.Errorf("colour with NO_COLOR: %q", out)
	}
	dir := filepath.Join(folder(t), "mail")
	if out := at("queue export " + dir); !strings.Contains(out, "export") || !strings.Contains(out, "\r") || !strings.Contains(out, "300 messages exported") {
		t.Errorf("no progress at a terminal: %q", out)
	}
}

// mailqLine are the lines that mailq prints, each with what scripts read of it.
var mailqLine = regexp.MustCompile(`^(?:(?P<head>-Queue ID- +--Size-- ----Arrival Time---- -Sender/Recipient-------)` +
	`|(?P<id>[0-9A-Za-z]+)[*! ] +(?P<size>\d+) \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d  (?P<sender>\S+)` +
	`| +\((?P<reason>.*)\)` +
	`| {20,}(?P<recipient>\S+)` +
	`|(?P<end>-- \d+ Kbytes in \d+ Requests?\.)` +
	`|(?P<empty>Mail queue is empty)|)$`)

// readMailq takes the output apart as scripts do: the senders with their recipients, in order.
func readMailq(t *testing.T, who, text string) (mail []string) {
	t.Helper()
	reasons, ends := 0, 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		m := mailqLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("%s prints a line of another shape: %q", who, line)
			continue
		}
		part := func(name string) string { return m[mailqLine.SubexpIndex(name)] }
		switch {
		case part("sender") != "":
			mail = append(mail, part("sender"))
		case part("recipient") != "":
			mail = append(mail, "-> "+part("recipient"))
		case part("reason") != "":
			reasons++
		case part("end") != "":
			ends++
		}
	}
	if reasons == 0 || ends != 1 {
		t.Errorf("%s gives %d reasons and %d last lines:\n%s", who, reasons, ends, text)
	}
	return mail
}

// What reads Postfix's mailq reads ours: the same mail gives the same in both.
func TestMailqOfPostfix(t *testing.T) {
	t.Parallel()
	needs(t, "postfix", "postqueue")
	ctx := within(t, 2*time.Minute)
	relay := startRelay(t, ctx, nowhere())
	dir := folder(t)
	postfix, err := integration.NewPostfix(dir, "127.0.0.1:9", "")
	if errors.Is(err, integration.ErrNotRoot) {
		missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := postfix.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { postfix.Stop() })
	theirs := func() string {
		cmd := exec.CommandContext(ctx, "postqueue", "-c", filepath.Join(dir, "etc"), "-p")
		cmd.Env = append(os.Environ(), "MAIL_CONFIG="+filepath.Join(dir, "etc"))
		out, err := cmd.Output() // on stderr is that it reads the queue by itself
		if err != nil {
			t.Fatalf("postqueue: %v: %s", err, out)
		}
		return string(out)
	}
	empty, err := relay.Command(ctx, "queue", "list", "--postfix")
	if err != nil || empty != theirs() {
		t.Errorf("empty: ours %q, theirs %q (%v)", empty, theirs(), err)
	}
	for _, addr := range []string{relay.Addr(), postfix.Addr()} {
		if err := errors.Join(send(addr, "ann@one.test", "bob@two.test", "cid@two.test"), send(addr, "dan@one.test", "bob@two.test")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "Postfix to defer both", func() bool { return strings.Count(theirs(), "(") >= 2 })
	ours := ask(t, ctx, relay, "Kbytes in 2 Requests.", "queue", "list", "--postfix")
	got, want := readMailq(t, "postrider", ours), readMailq(t, "postqueue", theirs())
	if sorted(got) != sorted(want) || len(got) != 5 {
		t.Errorf("ours %q, theirs %q", got, want)
	}
}

// sorted are the messages in an order of their own: Postfix's is that of its directories.
func sorted(lines []string) string {
	var mail []string
	for _, line := range lines {
		if strings.HasPrefix(line, "->") && len(mail) > 0 {
			mail[len(mail)-1] += line
		} else {
			mail = append(mail, line)
		}
	}
	if len(mail) == 2 && mail[0] > mail[1] {
		mail[0], mail[1] = mail[1], mail[0]
	}
	return strings.Join(mail, "\n")
}
