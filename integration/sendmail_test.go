package integration_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// sendmail runs the program by that name and gives its exit code.
func sendmail(t *testing.T, ctx context.Context, server, input string, args ...string) int {
	t.Helper()
	cmd := exec.CommandContext(ctx, linked(t), args...)
	cmd.Stdin, cmd.Env = strings.NewReader(input), append(os.Environ(), "POSTRIDER_SERVER="+server)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	t.Logf("%q: %s", args, out)
	return cmd.ProcessState.ExitCode()
}

// linked is the program by the name of sendmail.
func linked(t *testing.T) string {
	t.Helper()
	name := filepath.Join(folder(t), "sendmail")
	if err := os.Symlink(binary(t), name); err != nil {
		t.Fatal(err)
	}
	return name
}

// The program is a sendmail: the exit code says what became of the message, and the relay has it.
func TestSendmail(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr())+"rules:\n  - {name: gone, at: rcpt, when: 'recipient.address == \"gone@example.net\"', reject: \"550 5.1.1 gone\"}\n  - {name: later, at: rcpt, when: 'recipient.address == \"later@example.net\"', defer: \"451 4.7.1 later\"}\n")
	const letter = "To: Ann <ann@example.net>\nBcc: bob@example.net\nSubject: hi\n\nHello.\n.\nnot this\n"
	for _, tt := range []struct {
		name, server string
		args         []string
		want         int
	}{
		{"recipients of the header", relay.Addr(), []string{"-t", "-fme@example.com", "-F", "Me"}, 0},
		{"one of the command line", relay.Addr(), []string{"-i", "-f", "two@example.com", "--", "carl@example.net"}, 0},
		{"a null sender", relay.Addr(), []string{"-f", "", "dora@example.net"}, 0},
		{"one refused of two", relay.Addr(), []string{"-f", "four@example.com", "gone@example.net", "eve@example.net"}, 67},
		{"one for now", relay.Addr(), []string{"-f", "five@example.com", "later@example.net"}, 75},
		{"nobody there", "127.0.0.1:9", []string{"-f", "six@example.com", "fay@example.net"}, 75},
	} {
		if got := sendmail(t, ctx, tt.server, letter, tt.args...); got != tt.want {
			t.Errorf("%s: exit code %d, want %d", tt.name, got, tt.want)
		}
	}
	want := map[string][]string{
		"me@example.com": {"ann@example.net", "bob@example.net"}, "two@example.com": {"carl@example.net"}, "": {"dora@example.net"},
		"four@example.com": {"eve@example.net"},
	}
	err := sink.Await(ctx, "the four messages", func(received []integration.Received) bool { return len(received) == len(want) })
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range sink.Received() {
		slices.Sort(m.To)
		if !slices.Equal(m.To, want[m.From]) {
			t.Errorf("of <%s> to %q, want %q", m.From, m.To, want[m.From])
		}
	}
}

// PHP's mail() is served.
func TestSendmailOfPHP(t *testing.T) {
	t.Parallel()
	needs(t, "php")
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	script := `exit(mail("ann@example.net", "hi", "Hello.\n.\nmore", "Cc: bob@example.net", "-fshop@example.com") ? 0 : 1);`
	cmd := exec.CommandContext(ctx, "php", "-d", "sendmail_path="+linked(t)+" -t -i --server "+relay.Addr(), "-r", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("php: %v: %s", err, out)
	}
	if err := sink.Await(ctx, "the message", func(received []integration.Received) bool { return len(received) == 1 }); err != nil {
		t.Fatal(err)
	}
	m := sink.Received()[0]
	slices.Sort(m.To)
	if m.From != "shop@example.com" || !slices.Equal(m.To, []string{"ann@example.net", "bob@example.net"}) {
		t.Errorf("of <%s> to %q", m.From, m.To)
	}
}
