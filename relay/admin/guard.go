package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

// Token lets its bearer in over TCP.
type Token struct {
	// Name is whom changes are ascribed to.
	Name string
	// Secret is what the bearer shows.
	Secret string
	// ReadOnly lets the bearer look but change nothing.
	ReadOnly bool
}

// access is who may use a route.
type access uint8

const (
	// toAll answers everybody: that the process is alive is no secret.
	toAll access = iota
	// toReaders answers the socket, tokens, and on loopback everybody if there are no tokens.
	toReaders
	// toOperators answers the socket, and tokens that may change things. A token is always
	// wanted over TCP, so that no page in a browser of this host, whose requests carry none,
	// can act.
	toOperators
	// toOwner answers the socket alone.
	toOwner
)

var (
	errOwner    = errors.New("only over the admin socket")
	errNoToken  = errors.New("this address changes nothing without a token: use the admin socket, or set admin.tokens")
	errToken    = errors.New("a token is needed, as Authorization: Bearer and the token")
	errReadOnly = errors.New("this token may only read")
	errHost     = errors.New("the request names another host: without tokens only localhost is answered")
)

// guard answers who a caller is, and refuses those who may not.
type guard struct {
	tokens   []Token
	origin   *http.CrossOriginProtection
	sessions *sessions
}

func newGuard(tokens []Token, now func() time.Time) *guard {
	return &guard{tokens: tokens, origin: http.NewCrossOriginProtection(), sessions: newSessions(now)}
}

// caller is who asks.
type caller struct {
	// name is the token's, or over the socket that of the peer's user; "" where nobody knows it.
	name string
}

// admit finds the caller, or refuses with a status and an error.
func (g *guard) admit(r *http.Request, a access) (caller, int, error) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	socket := local != nil && local.Network() == "unix"
	switch {
	case socket && a >= toOperators:
		return caller{name: peerOf(r)}, 0, nil
	case socket || a == toAll:
		return caller{}, 0, nil
	case a == toOwner:
		return caller{}, http.StatusForbidden, errOwner
	case len(g.tokens) == 0:
		return caller{}, http.StatusForbidden, g.admitBare(r, a)
	}
	if err := g.origin.Check(r); err != nil {
		return caller{}, http.StatusForbidden, err
	}
	token, ok := g.find(r)
	if !ok {
		token, ok = g.sessions.find(r)
	}
	switch {
	case !ok:
		return caller{}, http.StatusUnauthorized, errToken
	case a == toOperators && token.ReadOnly:
		return caller{}, http.StatusForbidden, errReadOnly
	}
	return caller{name: token.Name}, 0, nil
}

// admitBare is for an address without tokens, which is a loopback address. It answers
// reading requests that name this host: a page that had its own name point here by DNS would
// otherwise read along.
func (g *guard) admitBare(r *http.Request, a access) error {
	switch {
	case a == toOperators:
		return errNoToken
	case !isLocalHost(r.Host):
		return errHost
	}
	return nil
}

// isLocalHost says whether a Host header names this host and nothing else.
func isLocalHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.Trim(name, "[]")
	addr, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && addr.IsLoopback()
}

// find looks for the token that the request bears. All are compared, in constant time.
func (g *guard) find(r *http.Request) (found Token, ok bool) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Token{}, false
	}
	return g.match(strings.TrimSpace(secret))
}

// match finds the token with a secret.
func (g *guard) match(secret string) (found Token, ok bool) {
	shown := sha256.Sum256([]byte(secret))
	for _, t := range g.tokens {
		want := sha256.Sum256([]byte(t.Secret))
		if subtle.ConstantTimeCompare(shown[:], want[:]) == 1 && t.Secret != "" {
			found, ok = t, true
		}
	}
	return found, ok
}

// authorMost bounds what a caller says of who wants a change, in bytes.
const authorMost = 200

// author is whom a change is ascribed to: the token or the user of the peer. Whom the caller names
// besides stands beside that, never in its place.
func (c caller) author(said string) (string, error) {
	said = strings.TrimSpace(said)
	switch {
	case len(said) > authorMost || strings.ContainsFunc(said, unicode.IsControl):
		return "", fmt.Errorf("author: want a name of at most %d bytes", authorMost)
	case c.name == "" && said == "":
		return "", errors.New("author: say who asks for the change")
	case c.name == "":
		return said, nil
	case said == "" || said == c.name:
		return c.name, nil
	}
	return fmt.Sprintf("%s (given as %s)", c.name, said), nil
}
