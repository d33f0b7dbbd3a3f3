package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hooked collects what a webhook is told, by recipient.
type hooked struct {
	down atomic.Bool

	mu        sync.Mutex
	delivered map[string]int
	ids       map[string]bool
	// crashes counts what was told of them.
	crashes int
}

func (h *hooked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Data struct {
			Events []struct {
				EventID string `json:"event_id"`
				Event   string `json:"event"`
				To      string `json:"to"`
				Since   string `json:"since"`
			} `json:"events"`
		} `json:"data"`
	}
	if h.down.Load() || json.NewDecoder(r.Body).Decode(&body) != nil {
		w.WriteHeader(503)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range body.Data.Events {
		if e.Event == "delivered" && !h.ids[e.EventID] {
			h.delivered[e.To]++
		}
		h.ids[e.EventID] = true
		if e.Event == "gap" && e.Since != "" {
			h.crashes++
		}
	}
}

func (h *hooked) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.delivered)
}

// A webhook whose consumer is down while mail goes through, and the relay is killed, is told of
// all of it afterwards; mail goes on meanwhile, and the event log, moved away, goes on as well.
func TestEvents(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	consumer := &hooked{delivered: make(map[string]int), ids: make(map[string]bool)}
	consumer.down.Store(true)
	server := httptest.NewServer(consumer)
	t.Cleanup(server.Close)
	log := filepath.Join(folder(t), "events.jsonl")
	relay := newRelay(t, smartHost(sink.Addr())+fmt.Sprintf(`
events:
  log: {file: %q}
  webhooks: [{name: shop, url: %q, secret: 0123456789abcdef0123456789abcdef}]
`, log, server.URL))
	start(t, ctx, relay)

	const messages = 30
	for i := range messages {
		if err := send(relay.Addr(), "ann@one.test", fmt.Sprintf("to%d@two.test", i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the event log", func() bool { return lineCount(log) == messages })
	relay.Kill()
	start(t, ctx, relay)
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	relay.Signal(syscall.SIGHUP)
	eventually(t, "a new event log", func() bool { _, err := os.Stat(log); return err == nil })
	consumer.down.Store(false)
	if err := send(relay.Addr(), "ann@one.test", "last@two.test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the webhook", func() bool { return consumer.count() == messages+1 })
	if consumer.crashes != 1 {
		t.Errorf("told of %d crashes, want 1", consumer.crashes)
	}
	// A delivery that had just been made when the relay was killed may have been made again.
	if got := lineCount(log); got == 0 {
		t.Error("nothing in the new event log")
	}
}

func lineCount(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}

// eventually waits for what another process does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 600 {
		if is() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s: nothing for 30 seconds", what)
}
