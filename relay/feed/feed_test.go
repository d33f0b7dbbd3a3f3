package feed

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// consumer is who webhooks are sent to.
type consumer struct {
	mu sync.Mutex
	// answer decides on each request.
	answer func(n int) int
	n      int
	taken  []map[string]any
	ids    []string
	wrong  []string
}

func (c *consumer) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	c.n++
	code := 204
	if c.answer != nil {
		code = c.answer(c.n)
	}
	if code == 0 {
		return nil, errors.New("connection refused")
	}
	id := r.Header.Get("Webhook-Id")
	seconds, _ := strconv.ParseInt(r.Header.Get("Webhook-Timestamp"), 10, 64)
	secret, err := secretOf(testSecret)
	if err != nil {
		return nil, err
	}
	if got, want := r.Header.Get("Webhook-Signature"), Sign(secret, id, time.Unix(seconds, 0), body); got != want {
		c.wrong = append(c.wrong, "signature "+got)
	}
	var p struct {
		Type string
		Data struct{ Events []map[string]any }
	}
	if err := json.Unmarshal(body, &p); err != nil || p.Type != "postrider.events" || len(p.Data.Events) > batchMost {
		c.wrong = append(c.wrong, fmt.Sprintf("body of %d events, %v", len(p.Data.Events), err))
	}
	c.ids = append(c.ids, id)
	if code/100 == 2 {
		c.taken = append(c.taken, p.Data.Events...)
	}
	return &http.Response{StatusCode: code, Status: strconv.Itoa(code), Body: io.NopCloser(bytes.NewReader(nil)), Request: r}, nil
}

// counts gives how often each kind came, how many were lost, and whether ids are unique.
func (c *consumer) counts() (kinds map[string]int, lost int, ids map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kinds, ids = make(map[string]int), make(map[string]int)
	for _, e := range c.taken {
		kind := e["event"].(string)
		kinds[kind]++
		if kind == KindGap {
			lost += int(e["lost"].(float64))
			continue
		}
		ids[e["event_id"].(string)]++
	}
	return kinds, lost, ids
}

func options(dir string, c *consumer) Options {
	return Options{
		Dir: dir, HTTP: &http.Client{Transport: c}, IDs: relay.NewIDs(time.Now, rand.Reader), Chance: func() float64 { return 1 },
		Webhooks: []Webhook{{Name: "shop", URL: "http://consumer.test/", Secret: testSecret, Events: []string{"delivered", "bounced"}}},
	}
}

func event(kind, to string) Event {
	text := fmt.Sprintf(`{"event":%q,"to":%q,"reply":%q}`, kind, to, strings.Repeat("x", 100))
	return Event{Kind: kind, To: to, JSON: []byte(text)}
}

// running runs a feed in a bubble until stop.
func running(t *testing.T, o Options) (f *Feed, stop func()) {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	return f, func() {
		cancel()
		if err := errors.Join(<-ended, f.Close()); err != nil {
			t.Error(err)
		}
	}
}

// What is wanted comes, once, in batches, with a signature; what fails comes again under the
// same id.
func TestWebhook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &consumer{answer: func(n int) int { return []int{0, 500, 302}[min(n-1, 2)]*b2i(n < 4) + 204*b2i(n >= 4) }}
		o := options(t.TempDir(), c)
		o.Webhooks[0].To = "*@shop.test"
		f, stop := running(t, o)
		for range 250 {
			f.Add(event("delivered", "ann@shop.test"))
		}
		f.Add(event("delivered", "ann@else.test"))
		f.Add(event("deferred", "ann@shop.test"))
		f.Add(event("bounced", "ann@shop.test"))
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		kinds, lost, ids := c.counts()
		if kinds["delivered"] != 250 || kinds["bounced"] != 1 || len(kinds) != 2 || lost != 0 || len(ids) != 251 {
			t.Errorf("got %v, %d lost, %d ids", kinds, lost, len(ids))
		}
		if len(c.wrong) > 0 {
			t.Errorf("wrong: %q", c.wrong)
		}
		if c.ids[0] != c.ids[1] || c.ids[1] != c.ids[2] {
			t.Errorf("a batch that came again had another id: %q", c.ids[:3])
		}
	})
}

func b2i(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// A consumer that is dead for an hour of load costs a bounded outbox and nothing else. Back
// again it gets what is left, and is told how much it has missed.
func TestDeadConsumer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alive atomic.Bool
		c := &consumer{answer: func(int) int { return 204 * b2i(alive.Load()) }}
		dir := t.TempDir()
		o := options(dir, c)
		o.Size = 200 << 10
		var mu sync.Mutex
		var told []string
		o.Fault = func(f relay.Fault) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, f.Doing)
		}
		f, stop := running(t, o)
		const perSecond = 5
		for range 3600 {
			for range perSecond {
				f.Add(event("delivered", "ann@shop.test"))
			}
			time.Sleep(time.Second)
		}
		if size := sizeOf(t, dir); size > o.Size+o.Size/4 {
			t.Errorf("the outbox has %d bytes, bound is %d", size, o.Size)
		}
		synctest.Wait()
		if used, since, behind := figure(t, f, "outbox_used_bytes"), figure(t, f, "webhook_failing_seconds"), figure(t, f, "webhook_behind_bytes"); used == 0 ||
			used > figure(t, f, "outbox_limit_bytes")*1.25 || since < 3500 || since > 3700 || behind == 0 || behind > used {
			t.Errorf("metrics: %.0f bytes of the outbox used, %.0f of them not seen, nothing taken for %.0f s", used, behind, since)
		}
		alive.Store(true)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if since := figure(t, f, "webhook_failing_seconds"); since != 0 {
			t.Errorf("still failing for %v s", since)
		}
		stop()
		kinds, lost, ids := c.counts()
		if lost == 0 || kinds["delivered"]+lost != 3600*perSecond || len(ids) != kinds["delivered"] {
			t.Errorf("%v came, %d were told of as lost: of %d", kinds, lost, 3600*perSecond)
		}
		if n := len(told); n == 0 || n > 150 || !slices.Contains(told, "send webhooks to shop") {
			t.Errorf("told %d times", n)
		}
		if n := f.dropped.Load(); n != int64(lost) {
			t.Errorf("%d counted as dropped, want %d", n, lost)
		}
	})
}

// figure is a metric's value.
func figure(t *testing.T, f *Feed, name string) float64 {
	t.Helper()
	for _, one := range f.Figures() {
		if one.Name == name {
			return one.Value
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func sizeOf(t *testing.T, dir string) (n int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

// What was not sent before a crash is sent after it; a line that the crash cut is left out.
func TestCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		dead := &consumer{answer: func(int) int { return 0 }}
		f, _ := running(t, options(dir, dead)) // never stopped well: its files stay as they are
		for range 10 {
			f.Add(event("bounced", "ann@shop.test"))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		name := f.box.name(f.box.end().Segment)
		file, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(`{"event_id":"cut","ev`); err != nil {
			t.Fatal(err)
		}
		file.Close()
		c := new(consumer)
		g, stop := running(t, options(dir, c))
		g.Add(event("bounced", "bob@shop.test"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		stop()
		if kinds, lost, ids := c.counts(); kinds["bounced"] != 11 || lost != 0 || len(ids) != 11 || ids["cut"] != 0 {
			t.Errorf("got %v, %d lost, ids %v", kinds, lost, ids)
		}
		// Something may have been on its way to the outbox: the consumer knows since when.
		if n := slices.IndexFunc(c.taken, func(e map[string]any) bool { return e["event"] == KindGap }); n < 0 {
			t.Error("nobody was told of the crash")
		} else if since, err := time.Parse(time.RFC3339, c.taken[n]["since"].(string)); err != nil || since.IsZero() {
			t.Errorf("told %v: %v", c.taken[n], err)
		}
		again := new(consumer)
		_, stop = running(t, options(dir, again))
		time.Sleep(10 * time.Second)
		stop()
		if again.n != 0 {
			t.Errorf("what was taken was sent again: %v", again.taken)
		}
		_ = f.Close()
	})
}

// While the disk is full events are dropped and counted; what comes after is sent, and a gap
// told of.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	c := new(consumer)
	o := options(t.TempDir(), c)
	var told []error
	o.Fault = func(f relay.Fault) { told = append(told, f.Err) }
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	kept := f.box.file
	f.box.file = full
	f.write(event("bounced", "ann@shop.test"), event("bounced", "bob@shop.test"))
	f.write(event("bounced", "cid@shop.test"))
	f.box.file = kept
	if len(told) != 2 { // the disk, and that events were dropped, each once a minute
		t.Errorf("told %v", told)
	}
	f.write(event("bounced", "dan@shop.test"))
	b, err := f.hooks[0].next()
	if err != nil || len(b.events) != 2 || !strings.Contains(string(b.events[0]), "dan@shop.test") || !strings.Contains(string(b.events[1]), `"lost":3`) {
		t.Errorf("got %s, %v", b.events, err)
	}
	if err := errors.Join(f.Close(), full.Close()); err != nil {
		t.Error(err)
	}
}

// Nobody waits for events, however many there are.
func TestAddNeverBlocks(t *testing.T) {
	t.Parallel()
	f, err := New(options(t.TempDir(), new(consumer)))
	if err != nil {
		t.Fatal(err)
	}
	for range pendingMost + 7 { // nobody writes them
		f.Add(event("bounced", "ann@shop.test"))
	}
	if got := f.lost.Load(); got != 7 {
		t.Errorf("%d lost, want 7", got)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// The log has what it is to have, in lines, also after it was moved away, and after a crash in
// the middle of a line.
func TestLog(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log", "events.jsonl")
	f, err := New(Options{Log: name, LogEvents: []string{"bounced"}, IDs: relay.NewIDs(time.Now, rand.Reader)})
	if err != nil {
		t.Fatal(err)
	}
	f.write(event("bounced", "ann@shop.test"), event("delivered", "bob@shop.test"))
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	f.write(event("bounced", "cid@shop.test"))
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	f.write(event("bounced", "dan@shop.test"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]string{name + ".1": {"ann@shop.test", "cid@shop.test"}, name: {"dan@shop.test"}} {
		if got := recipients(t, file); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
	if err := os.WriteFile(name, []byte(`{"event_id":"cut`), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := openLog(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.write([]byte("{}\n")), l.close()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "{\"event_id\":\"cut\n{}\n" {
		t.Errorf("got %q, %v", text, err)
	}
}

func recipients(t *testing.T, file string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil || e["event_id"] == "" {
			t.Errorf("line %q: %v", line, err)
		}
		all = append(all, e["to"].(string))
	}
	return all
}

// The example of the Standard Webhooks specification.
func TestSign(t *testing.T) {
	t.Parallel()
	secret, err := secretOf(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	got := Sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		testSecret: true, "whsec_***": false, "whsec_c2hvcnQ=": false, "short": false, "0123456789abcdef01234567": true, "": false,
	} {
		if _, err := secretOf(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
