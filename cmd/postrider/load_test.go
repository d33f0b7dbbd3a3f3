package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestHistogramQuantile(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() time.Duration{
		"uniform":     func() time.Duration { return time.Duration(rng.Int64N(int64(time.Second))) },
		"exponential": func() time.Duration { return time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond)) },
		"hours":       func() time.Duration { return time.Hour + time.Duration(rng.Int64N(int64(time.Hour))) },
	} {
		var h histogram
		var all []time.Duration
		for range 10_000 {
			d := draw()
			h.add(d)
			all = append(all, d)
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
			want := all[int(q*float64(len(all)))-1]
			got := h.quantile(q)
			if got < want || float64(got-want) > float64(want)/histogramHalf+float64(histogramUnit) {
				t.Errorf("%s: quantile %v is %v, want %v", name, q, got, want)
			}
		}
	}
}

func TestHistogramEnds(t *testing.T) {
	t.Parallel()
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("empty: got %v, want 0", got)
	}
	h.add(-time.Second)
	h.add(1<<63 - 1)
	if got := h.quantile(1); got != 1<<63-1 {
		t.Errorf("longest: got %v", got)
	}
}

func TestLoadMessage(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 300, 4096, 4097, 100_000, 1 << 20} {
		for n := range int64(80) { // each remainder of a line
			var b bytes.Buffer
			b.Write(newLoadMaker("run", "a@example.com", size).make(&b, n, time.Unix(0, 0)))
			if size >= 400 && b.Len() != size {
				t.Fatalf("size %d: message %d has %d bytes", size, n, b.Len())
			}
			header, body := splitContent(b.Bytes())
			if got, want := headerField(header, loadSumField), bodySum(body); got != want {
				t.Fatalf("size %d: sum %q, want %q", size, got, want)
			}
			if text := b.String(); strings.Count(text, "\n") != strings.Count(text, "\r\n") || strings.Count(text, "\r") != strings.Count(text, "\n") || !strings.HasSuffix(text, "\r\n") {
				t.Fatalf("size %d: message %d has odd line ends", size, n)
			}
			size++
		}
	}
}

// runLoad sends a load to a sink and gives what each says.
func runLoad(t *testing.T, o loadOptions, change func(*sinkOptions)) (loadReport, sinkSummary, []sinkMessage) {
	t.Helper()
	var mu sync.Mutex
	var seen []sinkMessage
	addr, stop := startSink(t, func(so *sinkOptions) {
		so.Keep = func(m *sinkMessage) error {
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
	l, err := newLoad(o)
	if err != nil {
		t.Fatal(err)
	}
	report := l.run(t.Context())
	return report, stop(), seen
}

func TestLoadDelivers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		o        loadOptions
		sessions int64
	}{
		{"one session", loadOptions{Messages: 20, Size: 4096}, 1},
		{"several sessions", loadOptions{Messages: 200, Sessions: 10, Size: 4096, Recipients: 3}, 10},
		{"pipelined", loadOptions{Messages: 200, Sessions: 2, Size: 4096, Recipients: 3, Pipeline: true}, 2},
		{"reconnecting", loadOptions{Messages: 20, PerSession: 5}, 4},
		{"at a rate", loadOptions{Messages: 20, Rate: 2000}, 1},
		{"fewer messages than sessions", loadOptions{Messages: 3, Sessions: 10}, 3},
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

func TestLoadCountsFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		fault    sinkFault
		pipeline bool
		want     string
	}{
		{"mail refused", sinkFault{stage: stageMail, reply: "450 4.7.1 slowly"}, false, "450"},
		{"recipient refused, pipelined", sinkFault{stage: stageRcpt, reply: "550 5.1.1 no"}, true, "550"},
		{"mail refused, pipelined", sinkFault{stage: stageMail, reply: "451 4.3.0 no"}, true, "451"},
		{"content refused", sinkFault{stage: stageDot, reply: "554 5.7.1 spam"}, true, "554"},
		{"421", sinkFault{stage: stageData, reply: "421 4.3.2 later"}, false, "421"},
		{"dropped", sinkFault{stage: stageDot, drop: true}, false, "connection"},
		{"greeting refused", sinkFault{stage: stageConnect, reply: "554 5.3.2 no"}, false, "554"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.fault.chance = 1
			report, summary, _ := runLoad(t, loadOptions{Messages: 3, Size: 1000, Pipeline: tt.pipeline}, func(o *sinkOptions) { o.Faults = sinkFaults{tt.fault} })
			if report.Accepted != 0 || report.Failed != 3 || report.Failures[tt.want] != 3 {
				t.Errorf("report %+v, want 3 failures by %s", report, tt.want)
			}
			if summary.Messages != 0 {
				t.Errorf("%d messages arrived", summary.Messages)
			}
		})
	}
}

func TestLoadEndsInTime(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	l, err := newLoad(loadOptions{To: silent.Addr().String(), Messages: 10, Sessions: 2, Recipients: 1, Domains: 1, For: time.Millisecond, Timeout: time.Hour, Now: time.Now, Progress: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	if report := l.run(context.Background()); report.Accepted != 0 {
		t.Errorf("report %+v", report)
	}
}

func TestLoadCommand(t *testing.T) {
	t.Parallel()
	addr, stop := startSink(t, nil)
	file := filepath.Join(t.TempDir(), "ids")
	cmd := newRootCommand()
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs([]string{"load", "--to", addr, "--messages", "7", "--size", "1KiB", "--json", "--accepted", file})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var report loadReport
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

func TestCommandLineMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want string }{
		{"sink --print everything", "--print"},
		{"sink --tls-cert x", "--tls-key"},
		{"sink --size huge", "--size"},
		{"sink --reject nonsense", "--reject"},
		{"load --messages 0", "--messages"},
		{"load --to nowhere", "--to"},
		{"load --size -1", "--size"},
		{"frobnicate", "unknown command"},
	} {
		cmd := newRootCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs(strings.Fields(tt.args))
		var stderr bytes.Buffer
		if code := execute(cmd, &stderr); code != 1 {
			t.Errorf("%s: exit code %d, want 1", tt.args, code)
		}
		if got := stderr.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, tt.want) {
			t.Errorf("%s: stderr %q, want one line with %q", tt.args, got, tt.want)
		}
	}
}

func FuzzParseReplyLine(f *testing.F) {
	for _, seed := range []string{"250 Ok\r\n", "250-SIZE\r\n", "354\r\n", "2x0 no\r\n", "\n", "99 \r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		code, more, _, err := parseReplyLine(line)
		if err == nil && (code < 200 || code > 599) || err != nil && more {
			t.Errorf("%q: code %d, more %v, %v", line, code, more, err)
		}
	})
}

func TestLoadAddresses(t *testing.T) {
	t.Parallel()
	l := &load{o: loadOptions{Address: "user{n}@d{d}.example", Recipients: 2, Domains: 3}}
	var got []string
	for n := int64(1); n <= 2; n++ {
		got = append(got, l.addresses(n)...)
	}
	want := []string{"user1@d1.example", "user2@d2.example", "user3@d0.example", "user4@d1.example"}
	if !slices.Equal(got, want) {
		t.Errorf("addresses are %q, want %q", got, want)
	}
}
