package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// step is a line of the answer to an action.
type step struct {
	Seen, Matched, Changed, Unchanged, Busy, Failed int
	Done                                            bool
	Error                                           string
}

// bulkAct does something to all mail for dead.test over the API, and gives the last line of the answer,
// which never goes back, and how many lines there were.
func bulkAct(t *testing.T, ctx context.Context, r *integration.Relay, action string) (last step, lines int) {
	t.Helper()
	socket := filepath.Join(filepath.Dir(r.Config), "admin.sock")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
	body := fmt.Sprintf(`{"action": %q, "select": {"recipient": "*@dead.test"}, "reason": "a test"}`, action)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://relay/v1/queue/actions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); ; lines++ {
		var now step
		if err := d.Decode(&now); err == io.EOF {
			return last, lines
		} else if err != nil {
			t.Fatal(err)
		}
		if now.Changed < last.Changed || now.Seen < last.Seen {
			t.Errorf("%s goes back from %+v to %+v", action, last, now)
		}
		last = now
	}
}

// A great part of the queue is held and released while other mail is delivered: the counts are right, the
// progress is told, and the rest is delivered meanwhile, once.
func TestBulkHoldAndRelease(t *testing.T) {
	t.Parallel()
	n := scaled(1000, 100_000)
	rest := scaled(200, 5000)
	ctx := within(t, 3*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, fmt.Sprintf("routes:\n  - {name: dead, when: 'recipient.domain == \"dead.test\"', hosts: [\"127.0.0.1:9\"]}\n  - {name: next, hosts: [%q]}\n", sink.Addr()))
	runLoad(t, ctx, relay.Addr(), n, "--sessions", "20", "--to-address", "user{n}@dead.test")
	var ids []string
	for _, action := range []string{"hold", "release"} {
		load := newLoad(t, relay.Addr(), rest, "--sessions", "5")
		began := time.Now()
		last, lines := bulkAct(t, ctx, relay, action)
		took := time.Since(began)
		if want := (step{Seen: last.Seen, Matched: n, Changed: n, Done: true}); last != want {
			t.Errorf("%s: %+v, want %+v", action, last, want)
		}
		t.Logf("%s of %d: %v, %d lines of progress", action, n, took.Round(time.Millisecond), lines)
		if took > time.Second && lines < 2 {
			t.Errorf("%s took %v and told %d lines of progress", action, took, lines)
		}
		report, more, err := load.Report(ctx)
		if err != nil || report.Accepted != int64(rest) {
			t.Fatalf("%d of %d accepted meanwhile: %v", report.Accepted, rest, err)
		}
		t.Logf("meanwhile %d messages a second were taken, the 250 within %v ms at p99", int(report.Rate), report.Latency["p99"])
		ids = append(ids, more...)
		held, want := 0, map[string]int{"hold": n, "release": 0}[action]
		var stats struct{ Deliveries, Held int }
		out, err := relay.Command(ctx, "stats", "--json")
		if err == nil {
			err = json.Unmarshal([]byte(out), &stats)
		}
		if held = stats.Held; err != nil || held != want {
			t.Errorf("after %s %d are held, want %d (%v)", action, held, want, err)
		}
	}
	awaitAll(t, ctx, sink, ids)
	checkOnce(t, sink, ids)
	again, _ := bulkAct(t, ctx, relay, "release")
	if again.Changed != 0 || again.Unchanged != n || !again.Done {
		t.Errorf("released again: %+v", again)
	}
}
