package admin

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// at is a request that came over the network named.
func at(network, method, target string, header http.Header) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	if header != nil {
		r.Header = header
	}
	var addr net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8025}
	if network == "unix" {
		addr = &net.UnixAddr{Name: "/run/admin.sock", Net: "unix"}
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addr))
}

func bearer(secret string) http.Header { return http.Header{"Authorization": {"Bearer " + secret}} }

func TestGuard(t *testing.T) {
	t.Parallel()
	tokens := []Token{{Name: "ops", Secret: "s3cret"}, {Name: "grafana", Secret: "look", ReadOnly: true}, {Name: "broken"}}
	foreign := bearer("s3cret")
	foreign.Set("Sec-Fetch-Site", "cross-site")
	foreign.Set("Origin", "https://evil.test")
	const here = "http://localhost:8025/v1/queue"
	for _, tt := range []struct {
		name            string
		tokens          []Token
		network, method string
		target          string
		header          http.Header
		access          access
		want            int
		caller          string
	}{
		{"the socket's owner changes things", tokens, "unix", "POST", here, nil, toOperators, 0, ""},
		{"the socket's owner sees profiles", tokens, "unix", "GET", here, nil, toOwner, 0, ""},
		{"nobody else does", tokens, "tcp", "GET", here, bearer("s3cret"), toOwner, 403, ""},
		{"alive for all", tokens, "tcp", "GET", here, nil, toAll, 0, ""},
		{"reading on loopback", nil, "tcp", "GET", here, nil, toReaders, 0, ""},
		{"reading at 127.0.0.1", nil, "tcp", "GET", "http://127.0.0.1:8025/", nil, toReaders, 0, ""},
		{"reading at ::1", nil, "tcp", "GET", "http://[::1]:8025/", nil, toReaders, 0, ""},
		{"a page that points its name here", nil, "tcp", "GET", "http://evil.test:8025/", nil, toReaders, 403, ""},
		{"a name that begins like ours", nil, "tcp", "GET", "http://localhost.evil.test/", nil, toReaders, 403, ""},
		{"changes without tokens", nil, "tcp", "POST", here, nil, toOperators, 403, ""},
		{"no token where there are some", tokens, "tcp", "GET", here, nil, toReaders, 401, ""},
		{"a wrong token", tokens, "tcp", "GET", here, bearer("secret"), toReaders, 401, ""},
		{"the empty token of a broken entry", tokens, "tcp", "GET", here, bearer(""), toReaders, 401, ""},
		{"another scheme", tokens, "tcp", "GET", here, http.Header{"Authorization": {"Basic s3cret"}}, toReaders, 401, ""},
		{"a token reads", tokens, "tcp", "GET", "http://relay.test/", bearer("look"), toReaders, 0, "grafana"},
		{"a reading token changes", tokens, "tcp", "POST", here, bearer("look"), toOperators, 403, ""},
		{"a token changes", tokens, "tcp", "POST", "http://relay.test/", bearer("s3cret"), toOperators, 0, "ops"},
		{"a page elsewhere that knows a token", tokens, "tcp", "POST", here, foreign, toOperators, 403, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, code, err := newGuard(tt.tokens, time.Now).admit(at(tt.network, tt.method, tt.target, tt.header), tt.access)
			if (err == nil) != (tt.want == 0) || err != nil && code != tt.want {
				t.Fatalf("got %d, %v; want %d", code, err, tt.want)
			}
			if c.name != tt.caller {
				t.Errorf("caller %q, want %q", c.name, tt.caller)
			}
		})
	}
}

func TestAuthor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ token, said, want string }{
		{"", "", ""}, {"", " anna ", "anna"}, {"ops", "", "ops"}, {"ops", "ops", "ops"}, {"ops", "anna", "ops (given as anna)"},
		{"ops", "anna\nroot", ""}, {"", strings.Repeat("x", 201), ""},
	} {
		got, err := caller{name: tt.token}.author(tt.said)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("token %q, said %q: got %q, %v; want %q", tt.token, tt.said, got, err, tt.want)
		}
	}
}
