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
	"syscall"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// authority is an OAuth2 server that replaces refresh tokens. A refresh token that was replaced is a theft,
// and ends the account. One that forgives an answer that got lost takes the token before until the new one
// has been used.
type authority struct {
	url string
	// life is what is said of access tokens, in seconds.
	life int

	mu        sync.Mutex
	serial    int
	forgives  bool
	stolen    bool
	down      bool
	access    map[string]bool
	at        func(step string)
	refreshes int
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{life: 299, access: make(map[string]bool), at: func(string) {}}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

func (a *authority) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *authority) step(name string) {
	a.mu.Lock()
	at := a.at
	a.mu.Unlock()
	at(name)
}

// ServeHTTP answers at the token endpoint, and mail servers that ask about a token.
func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/introspect" {
		a.introspect(w, r)
		return
	}
	a.step("request")
	status, answer := a.grant(r)
	a.step("rotated")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
	w.(http.Flusher).Flush()
	a.step("answered")
}

func (a *authority) grant(r *http.Request) (int, map[string]any) {
	refresh, own := r.FormValue("refresh_token"), r.FormValue("grant_type") == "client_credentials"
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refreshes++
	newest := fmt.Sprintf("refresh-%d", a.serial)
	before := fmt.Sprintf("refresh-%d", a.serial-1)
	switch {
	case a.down:
		return http.StatusServiceUnavailable, map[string]any{"error": "temporarily_unavailable"}
	case own:
		access := fmt.Sprintf("own-%d", a.refreshes)
		a.access[access] = true
		return http.StatusOK, map[string]any{"access_token": access, "expires_in": a.life, "token_type": "Bearer"}
	case a.stolen || refresh != newest && !(a.forgives && refresh == before):
		a.stolen = true
		return http.StatusBadRequest, map[string]any{"error": "invalid_grant"}
	}
	if refresh == newest {
		a.serial++
	}
	access := fmt.Sprintf("access-%d-%d", a.serial, a.refreshes)
	a.access[access] = true
	return http.StatusOK, map[string]any{
		"access_token": access, "expires_in": a.life, "token_type": "Bearer",
		"refresh_token": fmt.Sprintf("refresh-%d", a.serial),
	}
}

// takes is the mail server's look at an access token.
func (a *authority) takes(user, token string) bool {
	a.step("login")
	a.mu.Lock()
	defer a.mu.Unlock()
	return user == "relay@example.com" && a.access[token]
}

// configure gives a relay's configuration for the peer and puts the token of a sign-in into place.
func (a *authority) configure(t *testing.T, peer *outboundtest.Peer) (config, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "token.json")
	if err := os.WriteFile(file, []byte(`{"version":1,"user":"relay@example.com","refresh_token":"refresh-0"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`routes:
  - name: next
    hosts: [%q]
    messages_per_connection: 1
    auth:
      user: relay@example.com
      oauth2: {provider: custom, client_id: c, token_url: %q, token_file: %q}
retry: {first: 1s, max: 5s}
`, peer.Addr(), a.url, file), file
}

// stored says whether the file has the newest refresh token.
func (a *authority) stored(t *testing.T, file string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stolen {
		t.Error("an old refresh token was used: the account is lost")
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), fmt.Sprintf(`"refresh-%d"`, a.serial)) {
		t.Errorf("the file has not the newest refresh token, %d: %v", a.serial, err)
	}
}

// killAt kills the relay once, when the step comes and not before ready is closed. It gives a channel that
// is closed then.
func (a *authority) killAt(r *integration.Relay, step string, ready <-chan struct{}) <-chan struct{} {
	killed := make(chan struct{})
	var once sync.Once
	a.set(func() {
		a.at = func(now string) {
			if now == step {
				once.Do(func() {
					<-ready
					r.Kill()
					close(killed)
				})
			}
		}
	})
	return killed
}

// The relay is killed at each step around a refresh token that is replaced: nothing bounces, every
// message arrives, and the account is not lost with a provider that forgives an answer that got lost.
func TestOAuthKilled(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"request", "rotated", "answered", "login", "MAIL", "dot"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, 2*time.Minute)
			a := newAuthority(t)
			a.forgives = true
			peer := outboundtest.NewPeer(t, outboundtest.Script{
				Mechanisms: []string{"XOAUTH2"}, Token: a.takes,
				On: func(e outboundtest.Event) outboundtest.Action {
					if e.Phase == outboundtest.MAIL || e.Phase == outboundtest.Dot {
						a.step(string(e.Phase))
					}
					return outboundtest.Action{}
				},
			})
			config, file := a.configure(t, peer)
			relay := newRelay(t, config)
			var ids []string
			for range scaled(3, 20) {
				// What is in the queue makes the step come from the second time on.
				ready := make(chan struct{})
				killed := a.killAt(relay, step, ready)
				start(t, ctx, relay)
				if ids == nil {
					_, ids = runLoad(t, ctx, relay.Addr(), 3)
				}
				close(ready)
				select {
				case <-killed:
				case <-ctx.Done():
					t.Fatalf("the step %s did not come", step)
				}
			}
			a.set(func() { a.at = func(string) {} })
			start(t, ctx, relay)
			// All the others may have arrived before the last kill, with an answer lost. This one needs a token.
			_, last := runLoad(t, ctx, relay.Addr(), 1)
			for _, id := range append(ids, last...) {
				peer.Wait("message "+id, func() bool { return carries(peer, id) })
			}
			if code, err := relay.Stop(); err != nil || code != 0 {
				t.Errorf("stop: exit code %d, %v", code, err)
			}
			a.stored(t, file)
			for _, line := range relay.Lines() {
				if strings.Contains(line, `"bounced"`) {
					t.Error(line)
				}
			}
		})
	}
}

// The relay is stopped while the endpoint has replaced the refresh token and not yet said so. The answer is
// waited for and stored: with a provider that forgives nothing the account would be lost without it.
func TestOAuthStopped(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	a := newAuthority(t)
	peer := outboundtest.NewPeer(t, outboundtest.Script{Mechanisms: []string{"XOAUTH2"}, Token: a.takes})
	config, file := a.configure(t, peer)
	relay := startRelay(t, ctx, config)
	var once sync.Once
	stopping := make(chan struct{})
	a.set(func() {
		a.at = func(now string) {
			if now == "rotated" {
				once.Do(func() {
					relay.Signal(syscall.SIGTERM)
					// The one who asks hangs up on the host when it is stopped.
					peer.Wait("the stop", func() bool { s := peer.Sessions(); return len(s) > 0 && s[0].Closed })
					close(stopping)
				})
			}
		}
	})
	_, ids := runLoad(t, ctx, relay.Addr(), 1)
	<-stopping
	if code, err := relay.Wait(ctx); err != nil || code != 0 {
		t.Errorf("stop: exit code %d, %v", code, err)
	}
	a.stored(t, file)
	if n := peer.Count(); n != 0 {
		t.Errorf("%d messages before the stop", n)
	}
	// Where no relay runs the files tell how the account is, and else the relay does.
	for _, want := range []string{"No relay runs", "As the running relay has it"} {
		out, err := relay.Command(ctx, "oauth", "status")
		if err != nil || !strings.Contains(out, want) || !strings.Contains(out, "access token got") || strings.Contains(out, "access-") {
			t.Errorf("oauth status: %v\n%s\nwant %q", err, out, want)
		}
		if want == "No relay runs" {
			start(t, ctx, relay)
			peer.Wait("the message", func() bool { return carries(peer, ids[0]) })
		}
	}
	if code, err := relay.Stop(); err != nil || code != 0 {
		t.Errorf("stop: exit code %d, %v", code, err)
	}
	a.stored(t, file)
}

// A token endpoint that never answers holds up the end of the relay for some seconds only.
func TestOAuthStoppedHanging(t *testing.T) {
	t.Parallel()
	if !long() {
		t.Skip("waits for the five seconds that an endpoint has: POSTRIDER_LONG=1")
	}
	ctx := within(t, 2*time.Minute)
	a := newAuthority(t)
	asked, end := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(end) })
	var once sync.Once
	a.at = func(string) {
		once.Do(func() { close(asked) })
		<-end
	}
	config, _ := a.configure(t, outboundtest.NewPeer(t, outboundtest.Script{Mechanisms: []string{"XOAUTH2"}}))
	relay := startRelay(t, ctx, config)
	runLoad(t, ctx, relay.Addr(), 1)
	<-asked
	began := time.Now()
	if code, err := relay.Stop(); err != nil || code != 0 {
		t.Errorf("stop: exit code %d, %v", code, err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the stop took %s", took)
	}
}

// carries says whether the peer has taken the message.
func carries(p *outboundtest.Peer, id string) bool {
	for _, m := range p.Messages() {
		if strings.Contains(string(m.Body), id) {
			return true
		}
	}
	return false
}

// Tokens end in the middle of a queue, and the endpoint is down for a while: mail waits, and all of it
// arrives. It takes the half minute for which an endpoint that is down is left alone.
func TestOAuthQueue(t *testing.T) {
	t.Parallel()
	if !long() {
		t.Skip("waits for half a minute: POSTRIDER_LONG=1")
	}
	ctx := within(t, 3*time.Minute)
	a := newAuthority(t)
	a.life = 31 // good for a second
	var peer *outboundtest.Peer
	script := outboundtest.Script{Mechanisms: []string{"XOAUTH2"}, Token: a.takes}
	peer = outboundtest.NewPeer(t, script)
	config, _ := a.configure(t, peer)
	relay := startRelay(t, ctx, config)
	runLoad(t, ctx, relay.Addr(), 100)
	peer.WaitMessages(100)
	before := 0
	a.set(func() { before, a.down = a.refreshes, true })
	time.Sleep(1500 * time.Millisecond) // the time that the last token has left
	runLoad(t, ctx, relay.Addr(), 100)
	if _, err := relay.Await(ctx, "the reason", func(line string) bool {
		return strings.Contains(line, `"unreachable"`) && strings.Contains(line, "OAuth2 token endpoint")
	}); err != nil {
		t.Fatal(err)
	}
	if n := peer.Count(); n != 100 {
		t.Errorf("%d messages without a token", n-100)
	}
	if list, err := relay.Command(ctx, "queue", "list"); err != nil || !strings.Contains(list, "OAuth2 token endpoint") {
		t.Errorf("queue list does not say why: %v\n%s", err, list)
	}
	asked := 0
	a.set(func() { asked, a.down = a.refreshes-before, false })
	peer.WaitMessages(200)
	if asked > 5 {
		t.Errorf("%d requests to an endpoint that was down", asked)
	}
	if peer.Count() != 200 || a.stolen {
		t.Errorf("%d messages, account lost: %t", peer.Count(), a.stolen)
	}
}
