package integration

import (
	"fmt"
	"os/exec"
	"reflect"
	"testing"
)

func TestLineWriter(t *testing.T) {
	t.Parallel()
	var got []string
	w := &lineWriter{line: func(line string) { got = append(got, line) }}
	for _, piece := range []string{"one\ntw", "o", "\n", "\nfour\nrest"} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatalf("write %q: %d, %v", piece, n, err)
		}
	}
	if want := []string{"one", "two", "", "four"}; !reflect.DeepEqual(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
}

func TestProcess(t *testing.T) {
	t.Parallel()
	p, err := Start(exec.Command("sh", "-c", "echo out; trap 'echo bye >&2; exit 3' TERM; echo ready >&2; while :; do sleep 0.05; done"), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if _, err := p.Await(t.Context(), "ready", func(line string) bool { return line == "ready" }); err != nil {
		t.Fatal(err)
	}
	if rss, err := p.RSS(); err != nil || rss < 100<<10 || rss > 100<<20 {
		t.Errorf("resident memory %d (%v)", rss, err)
	}
	if code, err := p.Stop(); err != nil || code != 3 {
		t.Errorf("exit code %d (%v), want 3", code, err)
	}
	if got, want := fmt.Sprint(p.Lines()), "[ready bye]"; got != want {
		t.Errorf("lines %s, want %s", got, want)
	}
	if _, err := p.Await(t.Context(), "nothing", func(string) bool { return false }); err == nil {
		t.Error("a line that never comes was found")
	}
}

func TestCounterWriter(t *testing.T) {
	t.Parallel()
	s := &SMTPSink{}
	w := &counterWriter{s: s}
	for _, piece := range []string{"sess=1 quit=0 mesg=1\rsess=2 quit=0 me", "sg=1", "7\rsess=2 quit=1 mesg=18"} {
		w.Write([]byte(piece))
	}
	if s.Sessions() != 2 || s.Messages() != 17 {
		t.Errorf("%d sessions and %d messages, want 2 and 17", s.Sessions(), s.Messages())
	}
}

func TestParseLogLine(t *testing.T) {
	t.Parallel()
	got := parseLogLine(`{"level":"info","listener":"local","addr":"127.0.0.1:40123","message":"listening"}`)
	if want := (logLine{Listener: "local", Addr: "127.0.0.1:40123", Message: "listening"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := parseLogLine("panic: no"); got != (logLine{}) {
		t.Errorf("got %+v from a line that is not JSON", got)
	}
}

func TestLinesAreBounded(t *testing.T) {
	t.Parallel()
	p := &Process{changed: make(chan struct{})}
	for i := range maxLines + 10 {
		p.remember(fmt.Sprint(i))
	}
	lines := p.Lines()
	if n := len(lines); n > maxLines || lines[n-1] != fmt.Sprint(maxLines+9) {
		t.Errorf("%d lines are kept, the last is %q", n, lines[n-1])
	}
}
