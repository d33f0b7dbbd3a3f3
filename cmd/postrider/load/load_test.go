package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/cmd/postrider/load"
	"postrider/cmd/postrider/sink"
)

// startSink runs a sink on a port of its own until the test ends. The function that is
// returned stops it sooner and gives the summary.
func startSink(t *testing.T, change func(*sink.Options)) (addr string, stop func() sink.Summary) {
	t.Helper()
	o := sink.Options{
		Listen: "127.0.0.1:0", Hostname: "sink.test", Size: 1 << 20, Idle: time.Minute,
		Now: time.Now, Dice: func() float64 { return 0 },
	}
	if change != nil {
		change(&o)
	}
	server, err := sink.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stop = sync.OnceValue(func() sink.Summary {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("sink ended with %v", err)
		}
		return server.Summary()
	})
	t.Cleanup(func() { stop() })
	return server.Addr().String(), stop
}

// runLoad sends a load to a sink and gives what each says.
func runLoad(t *testing.T, o load.Options, change func(*sink.Options)) (load.Report, sink.Summary, []sink.Message) {
	t.Helper()
	var mu sync.Mutex
	var seen []sink.Message
	addr, stop := startSink(t, func(so *sink.Options) {
		so.Keep = func(m *sink.Message) error {
			mu.Lock()
			defer mu.Unlock()
			copied := *m
			copied.Recipients = slices.Clone(m.Recipients)
			seen = append(seen, copied)
			return nil
		}
		if change != nil {
			change(so)
		}
	})
	o.To, o.Helo, o.From, o.Address, o.Run = addr, "load.test", "load@example.com", "user{n}@example.net", "run"
	o.For, o.Timeout, o.Now, o.Progress = time.Minute, 10*time.Second, time.Now, func() {}
	o.Sessions, o.Recipients, o.Domains = max(o.Sessions, 1), max(o.Recipients, 1), max(o.Domains, 1)
	l, err := load.New(o)
	if err != nil {
		t.Fatal(err)
	}
	report := l.Run(t.Context())
	return report, stop(), seen
}

func TestDelivers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		o        load.Options
		sessions int64
	}{
		{"one session", load.Options{Messages: 20, Size: 4096}, 1},
		{"several sessions", load.Options{Messages: 200, Sessions: 10, Size: 4096, Recipients: 3}, 10},
		{"pipelined", load.Options{Messages: 200, Sessions: 2, Size: 4096, Recipients: 3, Pipeline: true}, 2},
		{"reconnecting", load.Options{Messages: 20, PerSession: 5}, 4},
		{"at a rate", load.Options{Messages: 20, Rate: 2000}, 1},
		{"fewer messages than sessions", load.Options{Messages: 3, Sessions: 10}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var accepted bytes.Buffer
			tt.o.Accepted = &accepted
			report, summary, seen := runLoad(t, tt.o, nil)
			if report.Accepted != tt.o.Messages || report.Failed != 0 || report.Latency.Max <= 0 {
				t.Errorf("report %+v, want %d accepted", report, tt.o.Messages)
			}
			want := tt.o.Messages * int64(max(tt.o.Recipients, 1))
			if summary.Messages != tt.o.Messages || summary.Recipients != want || summary.Damaged != 0 || summary.Sessions > tt.sessions {
				t.Errorf("sink saw %+v, want %d messages over at most %d sessions", summary, tt.o.Messages, tt.sessions)
			}
			ids, to := strings.Fields(accepted.String()), map[string]bool{}
			for _, m := range seen {
				if !slices.Contains(ids, m.LoadID) {
					t.Errorf("message %q arrived but is not among the accepted ones", m.LoadID)
				}
				for _, r := range m.Recipients {
					to[r] = true
				}
			}
			if len(ids) != len(seen) || int64(len(to)) != want {
				t.Errorf("%d ids for %d messages to %d addresses", len(ids), len(seen), len(to))
			}
		})
	}
}

func TestCountsFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		fault    string
		pipeline bool
		want     string
	}{
		{"mail refused", "mail:450 4.7.1 slowly", false, "450"},
		{"recipient refused, pipelined", "rcpt:550 5.1.1 no", true, "550"},
		{"mail refused, pipelined", "mail:451 4.3.0 no", true, "451"},
		{"content refused", "dot:554 5.7.1 spam", true, "554"},
		{"421", "data:421 4.3.2 later", false, "421"},
		{"dropped", "dot", false, "connection"},
		{"greeting refused", "connect:554 5.3.2 no", false, "554"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var rejects, drops []string
			if strings.Contains(tt.fault, ":") {
				rejects = []string{tt.fault}
			} else {
				drops = []string{tt.fault}
			}
			faults, err := sink.ParseFaults(rejects, nil, drops)
			if err != nil {
				t.Fatal(err)
			}
			report, summary, _ := runLoad(t, load.Options{Messages: 3, Size: 1000, Pipeline: tt.pipeline}, func(o *sink.Options) { o.Faults = faults })
			if report.Accepted != 0 || report.Failed != 3 || report.Failures[tt.want] != 3 {
				t.Errorf("report %+v, want 3 failures by %s", report, tt.want)
			}
			if summary.Messages != 0 {
				t.Errorf("%d messages arrived", summary.Messages)
			}
		})
	}
}

func TestEndsInTime(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	l, err := load.New(load.Options{To: silent.Addr().String(), Messages: 10, Sessions: 2, Recipients: 1, Domains: 1, For: time.Millisecond, Timeout: time.Hour, Now: time.Now, Progress: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	if report := l.Run(context.Background()); report.Accepted != 0 {
		t.Errorf("report %+v", report)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	addr, stop := startSink(t, nil)
	file := filepath.Join(t.TempDir(), "ids")
	cmd := load.Command(func(io.Writer) bool { return false })
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs([]string{"--to", addr, "--messages", "7", "--size", "1KiB", "--json", "--accepted", file})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var report load.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || report.Accepted != 7 || report.Bytes != 7*1024 {
		t.Errorf("report %s (%v)", out.String(), err)
	}
	ids, err := os.ReadFile(file)
	if err != nil || strings.Count(string(ids), "\n") != 7 || errs.Len() != 0 {
		t.Errorf("ids %q (%v), stderr %q", ids, err, errs.String())
	}
	if got := stop().Messages; got != 7 {
		t.Errorf("%d messages arrived, want 7", got)
	}
}
