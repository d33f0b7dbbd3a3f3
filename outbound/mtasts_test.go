package outbound_test

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// policyHost serves the policies of domains as an http.RoundTripper.
type policyHost struct {
	mu sync.Mutex
	// policies are by host; requests counts.
	policies map[string]string
	status   int
	kind     string
	err      error
	requests int
	asked    chan struct{} // has room for one
}

// wait blocks until there have been that many requests.
func (h *policyHost) wait(t *testing.T, n int) {
	t.Helper()
	for {
		h.mu.Lock()
		enough := h.requests >= n
		h.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-h.asked:
		case <-t.Context().Done():
			t.Fatalf("waited for %d requests", n)
		}
	}
}

func (h *policyHost) setError(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *policyHost) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests++
	select {
	case h.asked <- struct{}{}:
	default:
	}
	text, ok := h.policies[r.URL.String()]
	if h.err != nil || !ok {
		return nil, errors.Join(h.err, fmt.Errorf("nobody is at %s", r.URL))
	}
	return &http.Response{
		StatusCode: h.status, Body: io.NopCloser(strings.NewReader(text)), Request: r,
		Header: http.Header{"Content-Type": {h.kind}, "Location": {"https://elsewhere.test/"}},
	}, nil
}

// guarded is a domain with an MTA-STS policy, and a Transport that knows how to find it.
type guarded struct {
	clock *clock
	dns   *outboundtest.DNS
	host  *policyHost
	peer  *outboundtest.Peer
	roots *x509.CertPool
	dir   string
	// route is where send sends, by MX where it is "".
	route string
}

const policyURL = "https://mta-sts.to.test/.well-known/mta-sts.txt"

func newGuarded(t *testing.T, config *tls.Config, roots *x509.CertPool, policy string) *guarded {
	t.Helper()
	g := &guarded{
		clock: newClock(), roots: roots, dir: filepath.Join(t.TempDir(), "mta-sts"),
		dns: outboundtest.NewDNS(t, "to.test. 60 IN MX 10 mx.to.test.", "mx.to.test. 60 IN A 127.0.0.1",
			`_mta-sts.to.test. 60 IN TXT "v=STSv1; id=1;"`),
		host: &policyHost{policies: map[string]string{policyURL: policy}, status: http.StatusOK, kind: "text/plain; charset=utf-8", asked: make(chan struct{}, 1)},
		peer: outboundtest.NewPeer(t, outboundtest.Script{TLS: config}),
	}
	g.clock.now = time.Now() // certificates are of now
	return g
}

func (g *guarded) transport(t *testing.T) *outbound.Transport {
	t.Helper()
	return g.transportOf(t, func(*outbound.Options) {})
}

func (g *guarded) transportOf(t *testing.T, edit func(*outbound.Options)) *outbound.Transport {
	t.Helper()
	return internet(t, g.dns, func(o *outbound.Options) {
		o.Now, o.RootCAs, o.MXPort, o.STSDir = g.clock.time, g.roots, g.peer.Port(), g.dir
		o.HTTP = &http.Client{Transport: g.host}
		o.Routes[0].TLS = outbound.TLSMay
		edit(o)
	})
}

// send delivers a message and gives "TLS", "clear" or the reply of the failure.
func (g *guarded) send(t *testing.T, tr *outbound.Transport) string {
	t.Helper()
	site, err := tr.Resolve(t.Context(), relay.Destination{Route: cmp.Or(g.route, routeMX), Domain: "to.test"})
	if err != nil {
		return asReply(t, err).Enhanced.String()
	}
	c, err := tr.Dial(t.Context(), site)
	if err != nil {
		return asReply(t, err).Enhanced.String()
	}
	defer c.Close()
	a := deliver(t, c, transfer("x\r\n", "a@to.test"))
	wantCodes(t, a, "250")
	if a.TLS == "" {
		return "clear"
	}
	return "TLS"
}

const enforced = "version: STSv1\r\nmode: enforce\r\nmx: *.to.test\r\nmax_age: 604800\r\n"

// What each policy makes of a good certificate, of a bad one, and of none.
func TestMTASTS(t *testing.T) {
	t.Parallel()
	good, roots := outboundtest.NewCertificate(t, "mx.to.test")
	bad, _ := outboundtest.NewCertificate(t, "mx.to.test")
	tested := strings.Replace(enforced, "enforce", "testing", 1)
	for _, tt := range []struct {
		name   string
		policy string
		config *tls.Config
		want   string
	}{
		{"enforce", enforced, good, "TLS"},
		{"enforce, bad certificate", enforced, bad, "4.7.5"},
		{"enforce, no TLS", enforced, nil, "4.7.4"},
		{"enforce, other hosts", strings.Replace(enforced, "*.to.test", "mx.other.test", 1), good, "4.7.4"},
		{"enforce, exact host", strings.Replace(enforced, "*.to.test", "MX.to.test.", 1), good, "TLS"},
		{"enforce, no deeper than a label", strings.Replace(enforced, "*.to.test", "*.test", 1), good, "4.7.4"},
		{"testing, bad certificate", tested, bad, "TLS"},
		{"testing, no TLS", tested, nil, "clear"},
		{"none", "version: STSv1\nmode: none\nmax_age: 86400\n", nil, "clear"},
		{"not a policy", "hello", nil, "clear"},
		{"expired at once", strings.Replace(enforced, "604800", "0", 1), nil, "clear"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, tt.config, roots, tt.policy)
			if got := g.send(t, g.transport(t)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// A policy that was seen stands until it expires, whatever an attacker on the way makes of DNS
// and HTTPS, and over a start of ours.
func TestMTASTSIsNotForgotten(t *testing.T) {
	t.Parallel()
	_, roots := outboundtest.NewCertificate(t, "mx.to.test")
	for name, attack := range map[string]func(*guarded){
		"nothing":         func(*guarded) {},
		"no record":       func(g *guarded) { g.dns.Remove("_mta-sts.to.test.") },
		"DNS fails":       func(g *guarded) { g.dns.Fail("_mta-sts.to.test.", outboundtest.Fault{Rcode: 2}) },
		"new id, no host": func(g *guarded) { g.newID(); g.host.err = errors.New("unreachable") },
		"new id, 404":     func(g *guarded) { g.newID(); g.host.status = http.StatusNotFound },
		"new id, moved":   func(g *guarded) { g.newID(); g.host.status = http.StatusMovedPermanently },
		"new id, HTML":    func(g *guarded) { g.newID(); g.host.kind = "text/html" },
		"new id, nonsense": func(g *guarded) {
			g.newID()
			g.host.policies[policyURL] = "version: STSv1"
		},
		"new id, endless": func(g *guarded) {
			g.newID()
			g.host.policies[policyURL] = strings.Repeat("x: y\n", 1<<16) + "version: STSv1\nmode: none\nmax_age: 1\n"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, nil, roots, enforced)
			tr := g.transport(t)
			if got := g.send(t, tr); got != "4.7.4" {
				t.Fatalf("at first: %s", got)
			}
			attack(g)
			for range 3 {
				g.clock.pass(47 * time.Hour)
				if got := g.send(t, tr); got != "4.7.4" {
					t.Errorf("forgotten: %s", got)
				}
				tr = g.transport(t)
			}
			g.host.err = errors.New("unreachable")
			g.clock.pass(8 * 24 * time.Hour)
			if got := g.send(t, g.transport(t)); got != "clear" {
				t.Errorf("after it has expired: %s", got)
			}
		})
	}
}

func (g *guarded) newID() {
	g.dns.Remove("_mta-sts.to.test.")
	g.dns.Add(`_mta-sts.to.test. 60 IN TXT "v=STSv1; id=2;"`)
}

// The policy is fetched once while it is fresh, again when its record changes and once a day, so
// that it does not run out, and after a failure not at once.
func TestMTASTSRefresh(t *testing.T) {
	t.Parallel()
	good, roots := outboundtest.NewCertificate(t, "mx.to.test")
	g := newGuarded(t, good, roots, enforced)
	tr := g.transport(t)
	want := func(what string, requests int) {
		t.Helper()
		for range 3 {
			g.send(t, tr)
		}
		if g.host.requests != requests {
			t.Errorf("%s: %d requests, want %d", what, g.host.requests, requests)
		}
	}
	want("fresh", 1)
	tr = g.transport(t)
	want("after a start", 1)
	g.newID()
	g.clock.pass(2 * time.Minute) // the record has expired in the cache
	want("another id", 2)
	g.host.err = errors.New("unreachable")
	g.clock.pass(25 * time.Hour)
	want("after a day, unreachable", 3)
	g.host.err = nil
	want("too soon after that", 3)
	g.clock.pass(10 * time.Minute)
	want("later", 4)
	if entries, err := os.ReadDir(g.dir); err != nil || len(entries) != 1 {
		t.Errorf("on disk: %v, %v", entries, err)
	}
}

// REQUIRETLS goes only where TLS proves the host, the host passes the demand on, and something
// better than plain DNS vouches for it (RFC 8689). What may change defers.
func TestRequireTLS(t *testing.T) {
	t.Parallel()
	good, roots := outboundtest.NewCertificate(t, "mx.to.test")
	bad, _ := outboundtest.NewCertificate(t, "mx.to.test")
	offered := append([]string{"REQUIRETLS"}, outboundtest.DefaultExtensions...)
	for _, tt := range []struct {
		name       string
		config     *tls.Config
		extensions []string
		sts        string
		secure     bool
		want       string
	}{
		{"by MTA-STS", good, offered, enforced, false, "250 2.0.0"},
		{"by DNSSEC", good, offered, "", true, "250 2.0.0"},
		{"by plain DNS", good, offered, "", false, "550 5.7.30"},
		{"not offered", good, nil, enforced, false, "550 5.7.30"},
		{"bad certificate", bad, offered, "", true, "451 4.7.5"},
		{"no TLS", nil, offered, "", true, "451 4.7.5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, tt.config, roots, tt.sts)
			g.peer.SetScript(outboundtest.Script{TLS: tt.config, Extensions: tt.extensions})
			g.dns.Fail("", outboundtest.Fault{Secure: tt.secure})
			tr := internet(t, g.dns, func(o *outbound.Options) {
				o.RootCAs, o.MXPort, o.STSDir, o.DNS.Trusted = roots, g.peer.Port(), g.dir, tt.secure
				o.HTTP = &http.Client{Transport: g.host}
				o.Routes[0].TLS = outbound.TLSMay
			})
			c, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: routeMX, Domain: "to.test"}))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			x := transfer("x\r\n", "a@to.test")
			x.Message.Envelope.RequireTLS = true
			r := deliver(t, c, x).Replies[0]
			if got := fmt.Sprint(r.Code, " ", r.Enhanced); got != tt.want {
				t.Errorf("reply = %s, want %s", r, tt.want)
			}
			sent := strings.Join(g.peer.Sessions()[0].Commands, "\n")
			if strings.Contains(sent, "REQUIRETLS") != r.Positive() || strings.Contains(sent, "RCPT") != r.Positive() {
				t.Errorf("sent:\n%s", sent)
			}
		})
	}
}
