package auth_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postrider/inbound/auth"
	"postrider/relay"
)

// calling is a room whose users an HTTP service knows.
func calling(t *testing.T, answer http.HandlerFunc) *room {
	service := httptest.NewTLSServer(answer)
	t.Cleanup(service.Close)
	r := newRoom(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw})))
	r.options.File = ""
	r.options.HTTP = &auth.HTTPOptions{URL: service.URL + "/smtp", Token: "t0ken", CAFile: ca}
	return r
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	type question struct{ User, Password, Client, Listener string }
	r := calling(t, func(w http.ResponseWriter, req *http.Request) {
		var q question
		if err := json.NewDecoder(req.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		if want := (question{"Ann", "secret", "192.0.2.1", "main"}); q != want {
			t.Errorf("asked %+v, want %+v", q, want)
		}
		if req.Method != "POST" || req.URL.Path != "/smtp" || req.Header.Get("Authorization") != "Bearer t0ken" {
			t.Errorf("%s %s %v", req.Method, req.URL, req.Header)
		}
		io.WriteString(w, `{"ok": true, "user": "ann", "senders": ["@example.com"], "rate": "10/1h", "quota": "50", "more": 1}`)
	}).open()
	x, _ := r.Begin(auth.Plain, netip.MustParseAddr("192.0.2.1"), "main")
	_, id, reply := x.Next(context.Background(), []byte("\x00Ann\x00secret"))
	if reply != nil {
		t.Fatal(reply)
	}
	if id.User != "ann" || id.Rate.N != 10 || id.Quota != (auth.Rate{N: 50, Per: 24 * time.Hour}) || id.Senders.Allow(relay.Address{Local: "a", Domain: "b"}) {
		t.Errorf("got %+v", id)
	}
}

// A clear no is 535; everything else is ours and 454.
func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	const no, failed = "535 5.7.8", "454 4.7.0"
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"yes":        {say(`{"ok": true}`), "ann"},
		"no":         {say(`{"ok": false}`), no},
		"nothing":    {say(``), failed},
		"no ok":      {say(`{"senders": []}`), failed},
		"null":       {say(`null`), failed},
		"not JSON":   {say(`OK`), failed},
		"bad sender": {say(`{"ok": true, "senders": ["nobody at all"]}`), failed},
		"bad name":   {say(`{"ok": true, "user": "ann\n"}`), failed},
		"bad rate":   {say(`{"ok": true, "rate": "much"}`), failed},
		"endless":    {say(`{"ok": true, "user": "` + strings.Repeat("x", 100_000)), failed},
		"401":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401); io.WriteString(w, `{"ok": false}`) }, failed},
		"503":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, failed},
		"redirection": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
		}, failed},
		"hang up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, failed},
		"slow":    {func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := calling(t, test.answer)
			if name == "slow" {
				r.options.HTTP.Timeout = 50 * time.Millisecond // long enough for a handshake or not: both are a failure
			}
			r.open()
			if got := r.login("ann", "secret"); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if failed := test.want == failed; failed != (len(r.faults) == 1) {
				t.Errorf("faults %v", r.faults)
			}
		})
	}
}

func TestHTTPUntrusted(t *testing.T) {
	t.Parallel()
	r := calling(t, say(`{"ok": true}`))
	r.options.HTTP.CAFile = ""
	if got := r.open().login("ann", "secret"); got != "454 4.7.0" {
		t.Errorf("got %s", got)
	}
}

// A password that was found right is not checked again for a while; a wrong one always is.
func TestCache(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	answer := func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		text, _ := io.ReadAll(req.Body)
		json.NewEncoder(w).Encode(map[string]bool{"ok": strings.Contains(string(text), `"secret"`)})
	}
	now := time.Now()
	r := calling(t, answer)
	r.options.Now = func() time.Time { return now }
	r.open()
	uncached := calling(t, answer)
	uncached.options.CacheTTL = -1
	uncached.open()
	other := netip.MustParseAddr("192.0.2.9")
	for i, step := range []struct {
		wait     time.Duration
		room     *room
		from     netip.Addr
		password string
		asks     int32
	}{
		{0, r, home, "secret", 1}, {59 * time.Second, r, home, "secret", 0}, {0, r, home, "wrong", 1}, {0, r, home, "wrong", 1},
		{0, r, other, "secret", 1}, {2 * time.Second, r, home, "secret", 1}, {0, uncached, home, "secret", 1}, {0, uncached, home, "secret", 1},
	} {
		now = now.Add(step.wait)
		before := asked.Load()
		want := map[bool]string{true: "ann", false: "535 5.7.8"}[step.password == "secret"]
		if got := step.room.loginFrom(step.from, "ann", step.password); got != want {
			t.Errorf("step %d: got %s", i, got)
		}
		if n := asked.Load() - before; n != step.asks {
			t.Errorf("step %d: asked %d times, want %d", i, n, step.asks)
		}
	}
}

// No more than so many calls are made at once, whatever the number of sessions.
func TestCallsAtOnce(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	var wg sync.WaitGroup
	r := calling(t, func(w http.ResponseWriter, req *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		io.WriteString(w, `{"ok": true}`)
	})
	r.options.HTTP.Connections = 3
	r.open()
	for i := range 100 {
		wg.Go(func() {
			if got := r.login(fmt.Sprint("user", i), "x"); got != fmt.Sprint("user", i) {
				t.Errorf("got %s", got)
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n < 1 || n > 3 {
		t.Errorf("%d calls at once, want at most 3", n)
	}
}

// The next backend is asked about whom the file does not have, and about nobody else.
func TestBackendsInOrder(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "ann:"+someSCRAM)
	service := httptest.NewServer(say(`{"ok": true}`))
	t.Cleanup(service.Close)
	r.options.HTTP = &auth.HTTPOptions{URL: service.URL}
	r.open()
	for _, test := range []struct{ user, password, want string }{
		{"ann", "pencil", "ann"}, {"ann", "wrong", "535 5.7.8"}, {"eve", "any", "eve"}, {"eve", "", "535 5.7.8"},
	} {
		if got := r.login(test.user, test.password); got != test.want {
			t.Errorf("%+v: got %s", test, got)
		}
	}
	service.Close()
	if got := r.login("bob", "any"); got != "454 4.7.0" {
		t.Errorf("with the service gone: got %s", got)
	}
	if got := r.login("ann", "pencil"); got != "ann" {
		t.Errorf("a user of the file, with the service gone: got %s", got)
	}
}
