package outbound_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// clock is a time that tests move. It begins with the time of the day, because the deadlines of
// connections go by that.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// authorizer is an OAuth2 server. Each refresh token is good once: it is replaced at its use.
type authorizer struct {
	url   string
	clock *clock

	mu sync.Mutex
	// requests counts those to the token endpoint; last is the latest.
	requests int
	last     url.Values
	refresh  string
	// fault is answered while it is set, as a status and a body.
	status int
	fault  string
	// wait holds the answers until it is closed.
	wait   chan struct{}
	access map[string]time.Time
	// answered, where it is set, is called before an answer is sent.
	answered func()
}

func newAuthorizer(t *testing.T, c *clock) *authorizer {
	t.Helper()
	a := &authorizer{clock: c, refresh: "refresh-0", access: make(map[string]time.Time)}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

func (a *authorizer) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *authorizer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests++
	a.last = r.PostForm
	if wait := a.wait; wait != nil {
		a.mu.Unlock()
		<-wait
		a.mu.Lock()
	}
	w.Header().Set("Content-Type", "application/json")
	if a.fault != "" {
		w.WriteHeader(a.status)
		fmt.Fprint(w, a.fault)
		return
	}
	answer := map[string]any{"token_type": "Bearer", "expires_in": 3600}
	if r.PostForm.Get("grant_type") == "refresh_token" {
		if r.PostForm.Get("refresh_token") != a.refresh {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"the refresh token was used before\nTrace: 1"}`)
			return
		}
		a.refresh = fmt.Sprintf("refresh-%d", a.requests)
		answer["refresh_token"] = a.refresh
	}
	token := fmt.Sprintf("access-%d", a.requests)
	a.access[token] = a.clock.time().Add(time.Hour)
	answer["access_token"] = token
	if a.answered != nil {
		a.answered()
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// takes is the SMTP server's look at a token.
func (a *authorizer) takes(user, token string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return user == "relay@example.test" && a.clock.time().Before(a.access[token])
}

// account gives credentials of the kind of a person, with a token file.
func (a *authorizer) account(t *testing.T) *outbound.Credentials {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token.json")
	text := `{"version":1,"user":"relay@example.test","refresh_token":"refresh-0"}`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &outbound.Credentials{User: "relay@example.test", OAuth: &outbound.OAuth{
		Provider: "custom", ClientID: "client", TokenURL: a.url, TokenFile: name,
	}}
}

func (a *authorizer) script() outboundtest.Script {
	return outboundtest.Script{Mechanisms: []string{"LOGIN", "PLAIN", "XOAUTH2"}, Users: map[string]string{}, Token: a.takes}
}

func (a *authorizer) transport(t *testing.T, cred *outbound.Credentials, peers ...*outboundtest.Peer) *outbound.Transport {
	t.Helper()
	return smart(t, func(o *outbound.Options) { o.Now, o.Routes[0].Auth = a.clock.time, cred }, peers...)
}

func TestOAuthMechanisms(t *testing.T) {
	t.Parallel()
	for _, offered := range []string{"LOGIN XOAUTH2", "PLAIN OAUTHBEARER"} {
		c := newClock()
		a := newAuthorizer(t, c)
		p := outboundtest.NewPeer(t, outboundtest.Script{Mechanisms: strings.Fields(offered), Token: a.takes})
		dial(t, a.transport(t, a.account(t), p))
		if got, want := mechanismsUsed(p.Sessions()[0]), strings.Fields(offered)[1]; got != want {
			t.Errorf("%s was offered, %s used", offered, got)
		}
	}
}

// The grants of those who speak for themselves.
func TestOAuthGrants(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	p := outboundtest.NewPeer(t, a.script())
	for name, tt := range map[string]struct {
		o    outbound.OAuth
		want map[string]string
	}{
		"microsoft": {outbound.OAuth{Provider: "microsoft", Tenant: "t", ClientID: "client", ClientSecret: "secret", TokenURL: a.url},
			map[string]string{"grant_type": "client_credentials", "client_id": "client", "client_secret": "secret", "scope": "https://outlook.office365.com/.default"}},
		"google": {outbound.OAuth{Provider: "google", KeyFile: serviceAccount(t), TokenURL: a.url},
			map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}},
	} {
		dial(t, a.transport(t, &outbound.Credentials{User: "relay@example.test", OAuth: &tt.o}, p))
		for key, want := range tt.want {
			if got := a.last.Get(key); got != want {
				t.Errorf("%s: %s = %q, want %q", name, key, got, want)
			}
		}
		if name != "google" {
			continue
		}
		claims, _ := base64.RawURLEncoding.DecodeString(strings.Split(a.last.Get("assertion"), ".")[1])
		for _, want := range []string{`"iss":"robot@example.test"`, `"sub":"relay@example.test"`, `"scope":"https://mail.google.com/"`} {
			if !strings.Contains(string(claims), want) {
				t.Errorf("claims %s lack %s", claims, want)
			}
		}
	}
}

// serviceAccount writes the key file of one.
func serviceAccount(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(map[string]string{
		"client_email": "robot@example.test", "private_key_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	name := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Connections opened at once, by routes of the same account, ask for one token.
func TestOAuthSingleFlight(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	a.wait = make(chan struct{})
	p := outboundtest.NewPeer(t, a.script())
	cred := a.account(t)
	tr := smart(t, func(o *outbound.Options) {
		o.Now = c.time
		o.Routes[0].Auth = cred
		again := *cred
		o.Routes = append(o.Routes, outbound.Route{Name: "other", Hosts: o.Routes[0].Hosts, TLS: outbound.TLSNone, Auth: &again})
	}, p)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			site, err := tr.Resolve(t.Context(), relay.Destination{Route: []string{routeSmart, "other"}[i%2]})
			if err != nil {
				t.Error(err)
				return
			}
			conn, err := tr.Dial(t.Context(), site)
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		})
	}
	p.Wait("20 sessions that ask for a token", func() bool { return len(p.Sessions()) == 20 })
	close(a.wait)
	wg.Wait()
	if a.requests != 1 {
		t.Errorf("%d requests to the token endpoint, want 1", a.requests)
	}
}

// A token is renewed before it ends, in the middle of a queue.
func TestOAuthExpiry(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	p := outboundtest.NewPeer(t, a.script())
	tr := a.transport(t, a.account(t), p)
	for range 10 {
		wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test")), "250")
		c.pass(20 * time.Minute)
	}
	if len(p.Messages()) != 10 {
		t.Errorf("%d messages delivered, want 10", len(p.Messages()))
	}
	if a.requests < 3 || a.requests > 5 {
		t.Errorf("%d requests in 200 minutes for tokens of an hour", a.requests)
	}
}

// While the endpoint is down a token that is still good is used, then mail waits with the reason,
// and the endpoint is not besieged. When it is back, so is the mail.
func TestOAuthEndpointDown(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	p := outboundtest.NewPeer(t, a.script())
	tr := a.transport(t, a.account(t), p)
	dial(t, tr)
	a.set(func() { a.status, a.fault = http.StatusServiceUnavailable, `upstream down` })
	c.pass(58 * time.Minute) // two minutes are left
	dial(t, tr)
	c.pass(10 * time.Minute)
	before := a.requests
	for range 10 {
		r := dialFault(t, tr)
		if !r.Temporary() || r.Class == relay.ClassAuth || !strings.Contains(r.Text, "token endpoint 127.0.0.1") || !strings.Contains(r.Text, "503") {
			t.Fatalf("reply = %s of class %q", r, r.Class)
		}
	}
	if a.requests != before+1 {
		t.Errorf("%d requests to an endpoint that is down, want 1", a.requests-before)
	}
	a.set(func() { a.fault = "" })
	c.pass(time.Minute)
	dial(t, tr)
}

func TestOAuthEndpointGone(t *testing.T) {
	t.Parallel()
	a := newAuthorizer(t, newClock())
	cred := a.account(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	cred.OAuth.TokenURL = gone.URL
	gone.Close()
	r := dialFault(t, a.transport(t, cred, outboundtest.NewPeer(t, a.script())))
	if !r.Temporary() || r.Class == relay.ClassAuth || !strings.Contains(r.Text, "connection refused") {
		t.Errorf("reply = %s of class %q", r, r.Class)
	}
}

// A refresh token that was replaced is on disk before the access token that came with it is
// used, so that a crash at any later moment goes on from there.
func TestOAuthRotation(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	cred := a.account(t)
	script := a.script()
	script.Token = func(user, token string) bool {
		saved, err := outbound.ReadToken(cred.OAuth.TokenFile)
		a.mu.Lock()
		current := a.refresh
		a.mu.Unlock()
		if err != nil || saved.Refresh != current || saved.Access != token {
			t.Errorf("in use: %s; on disk: %s, %v", token, saved.Access, err)
		}
		return a.takes(user, token)
	}
	p := outboundtest.NewPeer(t, script)
	for range 5 { // each Transport is a process that was killed after its delivery
		dial(t, a.transport(t, cred, p))
		c.pass(2 * time.Hour)
	}
	if a.requests != 5 {
		t.Errorf("%d requests, want 5", a.requests)
	}
	dial(t, a.transport(t, cred, p))
	dial(t, a.transport(t, cred, p)) // and one that is still good is not asked for again
	if a.requests != 6 {
		t.Errorf("%d requests, want 6: a token on disk was not used", a.requests)
	}
	entries, err := os.ReadDir(filepath.Dir(cred.OAuth.TokenFile))
	if err != nil || len(entries) != 1 {
		t.Errorf("left beside the token: %v, %v", entries, err)
	}
	if info, err := os.Stat(cred.OAuth.TokenFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the token file: %v, %v", info.Mode(), err)
	}
}

// A token that cannot be stored is not used, not lost, and stored when that is possible again.
func TestOAuthStoreFails(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	cred := a.account(t)
	p := outboundtest.NewPeer(t, a.script())
	tr := a.transport(t, cred, p)
	dir := filepath.Dir(cred.OAuth.TokenFile)
	// The directory goes away between the reading of the file and the writing.
	text, err := os.ReadFile(cred.OAuth.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	a.wait = make(chan struct{})
	moved := make(chan error, 1)
	go func() {
		for asked := false; !asked; {
			a.set(func() { asked = a.requests > 0 })
		}
		moved <- os.Rename(dir, dir+".gone")
		close(a.wait)
	}()
	r := dialFault(t, tr)
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	if !r.Temporary() || r.Class == relay.ClassAuth || !strings.Contains(r.Text, "Cannot store") {
		t.Errorf("reply = %s of class %q", r, r.Class)
	}
	if err := os.Rename(dir+".gone", dir); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(cred.OAuth.TokenFile); err != nil || string(now) != string(text) {
		t.Fatalf("the file has changed: %s, %v", now, err)
	}
	a.set(func() { a.wait = nil })
	c.pass(time.Minute)
	dial(t, tr)
	saved, err := outbound.ReadToken(cred.OAuth.TokenFile)
	if err != nil || saved.Refresh != a.refresh || a.requests != 1 {
		t.Errorf("on disk %q, want %q after 1 request, %v (%d requests)", saved.Refresh, a.refresh, err, a.requests)
	}
}

// What the provider says against us holds the route and says what to do; a new sign-in heals it.
func TestOAuthRevoked(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	cred := a.account(t)
	p := outboundtest.NewPeer(t, a.script())
	tr := a.transport(t, cred, p)
	a.set(func() { a.refresh = "another" })
	r := dialFault(t, tr)
	if !r.Temporary() || r.Class != relay.ClassAuth || !strings.Contains(r.Text, "postrider oauth login") || strings.Contains(r.Error(), "refresh-0") {
		t.Errorf("reply = %s of class %q", r, r.Class)
	}
	if text := `{"version":1,"user":"relay@example.test","refresh_token":"another"}`; os.WriteFile(cred.OAuth.TokenFile, []byte(text), 0o600) != nil {
		t.Fatal("cannot write the token file")
	}
	c.pass(time.Minute)
	dial(t, tr)
}

// A token that the host refuses before its time is not offered a second time.
func TestOAuthTokenRefused(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := newAuthorizer(t, c)
	p := outboundtest.NewPeer(t, a.script())
	tr := a.transport(t, a.account(t), p)
	dial(t, tr)
	a.set(func() { clear(a.access) })
	r := dialFault(t, tr)
	if r.Class != relay.ClassAuth || !strings.Contains(r.Text, "535") {
		t.Errorf("reply = %s of class %q", r, r.Class)
	}
	dial(t, tr)
}

func TestOAuthNoToken(t *testing.T) {
	t.Parallel()
	a := newAuthorizer(t, newClock())
	p := outboundtest.NewPeer(t, a.script())
	for name, text := range map[string]string{
		"missing": "", "not JSON": "refresh-0", "other form": `{"version":9,"user":"relay@example.test","refresh_token":"x"}`,
		"of another user": `{"version":1,"user":"other@example.test","refresh_token":"refresh-0"}`,
	} {
		cred := a.account(t)
		if err := os.WriteFile(cred.OAuth.TokenFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if text == "" {
			os.Remove(cred.OAuth.TokenFile)
		}
		r := dialFault(t, a.transport(t, cred, p))
		if !r.Temporary() || r.Class != relay.ClassAuth || !strings.Contains(r.Text, "postrider oauth login") {
			t.Errorf("%s: reply = %s of class %q", name, r, r.Class)
		}
	}
}
