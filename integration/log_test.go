package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/integration"
)

// logged is what is read of a line of the log.
type logged struct {
	Message  string `json:"message"`
	Listener string `json:"listener"`
	Addr     string `json:"addr"`
	Lines    int    `json:"lines"`
}

// choked is a relay whose log is a pipe that is read as the test pleases.
type choked struct {
	*exec.Cmd
	log    *bufio.Reader
	addr   string
	socket string
}

func startChoked(t *testing.T, config string) *choked {
	t.Helper()
	relay := newRelay(t, config)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &choked{Cmd: exec.Command(relay.Binary, "serve", "--config", relay.Config), log: bufio.NewReaderSize(r, 512), socket: filepath.Join(filepath.Dir(relay.Config), "admin.sock")}
	c.Stderr = w
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		r.Close()
	})
	w.Close()
	for l := c.next(t); l.Message != "ready"; l = c.next(t) {
		if l.Listener == integration.Listener {
			c.addr = l.Addr
		}
	}
	return c
}

// next reads a line.
func (c *choked) next(t *testing.T) (l logged) {
	t.Helper()
	line, err := c.log.ReadString('\n')
	if err != nil {
		t.Fatalf("the log: %v", err)
	}
	if err := json.Unmarshal([]byte(line), &l); err != nil {
		t.Fatalf("the log has %q: %v", line, err)
	}
	return l
}

// flood sends so many messages to a thousand recipients each, for as many lines in the log.
func (c *choked) flood(t *testing.T, messages int) {
	t.Helper()
	to := make([]string, 1000)
	for i := range to {
		to[i] = fmt.Sprintf("%s%d@two.test", strings.Repeat("long", 15), i)
	}
	for range messages {
		if err := send(c.addr, "ann@one.test", to...); err != nil {
			t.Fatal(err)
		}
	}
}

// dropped is the metric of lines that the log lacks.
func (c *choked) dropped(t *testing.T, ctx context.Context) (n int) {
	t.Helper()
	const name = "\npostrider_log_lines_dropped_total "
	_, rest, found := strings.Cut(overSocket(t, ctx, c.socket, "/metrics"), name)
	if _, err := fmt.Sscan(rest, &n); err != nil || !found {
		t.Fatalf("no %s: %v", name, err)
	}
	return n
}

// recipientsOf counts the recipients of all messages.
func recipientsOf(all []integration.Received) (n int) {
	for _, m := range all {
		n += len(m.To)
	}
	return n
}

// While nobody reads the log, mail is accepted and delivered as ever. Once somebody does, the log
// says how many lines it lacks, which is all that it lacks. The relay stops also when its log does not move.
func TestLogUnread(t *testing.T) {
	t.Parallel()
	binary(t)
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startChoked(t, smartHost(sink.Addr()))

	const messages = 20 // some 7 MB of log; 4 MB are kept
	relay.flood(t, messages)
	count := func(messages int) func([]integration.Received) bool {
		return func(all []integration.Received) bool { return recipientsOf(all) == messages*1000 }
	}
	if err := sink.Await(ctx, "all mail while nobody reads the log", count(messages)); err != nil {
		t.Fatal(err)
	}
	for relay.dropped(t, ctx) == 0 {
		if ctx.Err() != nil {
			t.Fatal("no line was dropped: the log is not held up")
		}
		time.Sleep(20 * time.Millisecond)
	}

	var delivered, told int
	for delivered+told < messages*1001 {
		switch l := relay.next(t); {
		case l.Message == "accepted" || l.Message == "delivered":
			delivered++
		case l.Lines > 0:
			told += l.Lines
		}
	}
	if dropped := relay.dropped(t, ctx); told != dropped || told == 0 || delivered == 0 {
		t.Errorf("the log has %d lines and says that %d are missing, the metric says %d", delivered, told, dropped)
	}

	relay.flood(t, 1) // more than a pipe holds
	if err := sink.Await(ctx, "the last message", count(messages+1)); err != nil {
		t.Fatal(err)
	}
	if err := relay.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- relay.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("stopped with a log that nobody reads: %v", err)
		}
	case <-ctx.Done():
		t.Error("the relay does not stop: it waits for the reader of its log")
	}
}

// Where the journal reads, each line begins with its priority, also of what keeps the relay from starting.
func TestLogJournal(t *testing.T) {
	t.Parallel()
	relay := newRelay(t, smartHost("127.0.0.1:9"))
	for _, c := range [][2]string{{"", "<6>{\"level\":\"info\""}, {"no: such key\n", "<3>postrider: "}} {
		config, want := c[0], c[1]
		text, err := os.ReadFile(relay.Config)
		if err != nil {
			t.Fatal(err)
		}
		write(t, relay.Config, string(text)+config)
		name := filepath.Join(folder(t), "stream")
		stream, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		info, err := stream.Stat()
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		cmd := exec.Command(relay.Binary, "serve", "--config", relay.Config)
		cmd.Env = append(os.Environ(), fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino))
		cmd.Stderr = stream
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var got string
		eventually(t, "a line in the log", func() bool {
			all, err := os.ReadFile(name)
			got = string(all)
			return err == nil && strings.Contains(got, "\n")
		})
		cmd.Process.Kill()
		cmd.Wait()
		for line := range strings.Lines(got) {
			if !strings.HasPrefix(line, want[:3]) {
				t.Errorf("%q does not begin with its priority", line)
			}
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
