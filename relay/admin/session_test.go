package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// browser is a client over TCP that keeps its cookie, as a browser does.
type browser struct {
	s      *Server
	cookie *http.Cookie
}

func (b *browser) ask(method, path, body string, header http.Header) *http.Response {
	r := httptest.NewRequest(method, "http://localhost:8025"+path, bytes.NewReader([]byte(body)))
	for k, v := range header {
		r.Header[k] = v
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8025}
	w := httptest.NewRecorder()
	b.s.routes().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr))))
	for _, c := range w.Result().Cookies() {
		b.cookie = c
	}
	return w.Result()
}

func ours() http.Header { return http.Header{changeHeader: {"1"}} }

// A token is shown once; the cookie that stands for it does what the token may, from our page
// only, until it is old or ended.
func TestSession(t *testing.T) {
	t.Parallel()
	now := time.Now()
	clock := func() time.Time { return now }
	s, err := New(Options{Now: clock, Tokens: []Token{{Name: "anna", Secret: "s3cret"}, {Name: "guest", Secret: "look", ReadOnly: true}}})
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{s: s}
	expect := func(what string, r *http.Response, want int) {
		t.Helper()
		if r.StatusCode != want {
			t.Errorf("%s: got %d, want %d", what, r.StatusCode, want)
		}
	}
	const path, show = "/v1/session", `{"token":"s3cret"}`
	expect("no cookie", b.ask("GET", "/v1/config", "", nil), 401)
	expect("a form from elsewhere", b.ask("POST", path, show, nil), 403)
	elsewhere := ours()
	elsewhere.Set("Origin", "https://evil.test")
	elsewhere.Set("Sec-Fetch-Site", "cross-site")
	expect("a page from elsewhere", b.ask("POST", path, show, elsewhere), 403)
	expect("a wrong token", b.ask("POST", path, `{"token":"guess"}`, ours()), 401)
	expect("no token", b.ask("POST", path, `{"token":""}`, ours()), 401)
	expect("an unknown field", b.ask("POST", path, `{"user":"x"}`, ours()), 400)
	if b.cookie != nil {
		t.Fatalf("got the cookie %v for nothing", b.cookie)
	}
	expect("sign in", b.ask("POST", path, show, ours()), 200)
	if c := b.cookie; c == nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || strings.Contains(c.Value, "s3cret") {
		t.Fatalf("cookie %+v", c)
	}
	expect("looking", b.ask("GET", "/v1/config", "", nil), 404) // there is none, and the one who asks may know
	const pause = `{"reason":""}`
	expect("a change without the field", b.ask("POST", "/v1/queue/actions", pause, nil), 401)
	expect("a change from elsewhere", b.ask("POST", "/v1/queue/actions", pause, elsewhere), 403)
	expect("a change", b.ask("POST", "/v1/queue/actions", pause, ours()), 400) // it makes no sense, and is read
	now = now.Add(sessionIdle)
	expect("after a rest", b.ask("GET", "/v1/config", "", nil), 401)
	expect("sign in to look", b.ask("POST", path, `{"token":"look"}`, ours()), 200)
	expect("a change by who may look", b.ask("POST", "/v1/queue/actions", pause, ours()), 403)
	for range 20 {
		now = now.Add(sessionIdle / 2)
		b.ask("GET", "/v1/config", "", nil)
	}
	expect("after a day", b.ask("GET", "/v1/config", "", nil), 401)
	b.ask("POST", path, show, ours())
	kept := b.cookie
	expect("sign out from elsewhere", b.ask("DELETE", path, "", nil), 403)
	expect("sign out", b.ask("DELETE", path, "", ours()), 200)
	b.cookie = kept
	expect("signed out", b.ask("GET", "/v1/config", "", nil), 401)
}

// Over TLS the cookie goes nowhere in clear.
func TestSessionSecure(t *testing.T) {
	t.Parallel()
	for _, over := range []*tls.ConnectionState{nil, {}} {
		r := httptest.NewRequest("POST", "/v1/session", nil)
		r.TLS = over
		w := httptest.NewRecorder()
		setSession(w, r, "value", 60)
		c := w.Result().Cookies()
		if len(c) != 1 || c[0].Secure != (over != nil) || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Domain != "" || c[0].MaxAge != 60 {
			t.Errorf("TLS %v: %+v", over != nil, c)
		}
	}
}

// However many sign in, memory stays bounded, and the one least used goes.
func TestSessionsBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSessions(func() time.Time { return now })
	with := func(secret string) *http.Request {
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: secret})
		return r
	}
	first := s.begin(Token{Name: "first"})
	now = now.Add(time.Second)
	second := s.begin(Token{Name: "second"})
	for range sessionsMost - 1 {
		now = now.Add(time.Second)
		s.begin(Token{Name: "crowd"})
	}
	if len(s.all) != sessionsMost {
		t.Errorf("%d sessions, want %d", len(s.all), sessionsMost)
	}
	if _, ok := s.find(with(first)); ok {
		t.Error("the session least used is still there")
	}
	if got, ok := s.find(with(second)); !ok || got.Name != "second" {
		t.Errorf("the second: %v, %v", got, ok)
	}
}
