package outbound_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// socketPath is short, unlike the folders of tests.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "lmtp")
}

// A server behind a Unix socket takes mail by LMTP as one behind an address does, is called by its
// path, and is led around when it is gone.
func TestSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	script := lmtp("250 2.0.0 Ok", "550 5.2.1 Closed")
	script.Listen = "unix:" + path
	gone := "unix:" + socketPath(t)
	p := outboundtest.NewPeer(t, script)
	tr := smart(t, func(o *outbound.Options) {
		overLMTP(o)
		o.Routes[0].Hosts = []string{gone, p.Addr()}
		o.Routes[0].TLS = outbound.TLSMay
	})
	conn := dial(t, tr)
	if host, addr := conn.Remote(); host != p.Addr() || addr != p.Addr() {
		t.Errorf("connected to %q, %q, want %q", host, addr, p.Addr())
	}
	a := deliver(t, conn, transfer("x\r\n", "a@to.test", "b@to.test"))
	wantCodes(t, a, "250,550")
	if a.Host != p.Addr() || a.Addr != p.Addr() {
		t.Errorf("the attempt was at %q, %q", a.Host, a.Addr)
	}
	site, err := tr.Resolve(t.Context(), relay.Destination{Route: routeSmart})
	if err != nil {
		t.Fatal(err)
	}
	if want := p.Addr(); !strings.Contains(site.Key, want) {
		t.Errorf("the key %q lacks %q", site.Key, want)
	}
	if got, want := outbound.Addresses(site), []string{gone, p.Addr()}; !slices.Equal(got, want) {
		t.Errorf("addresses %q, want %q", got, want)
	}
	health := tr.Examine(site)
	if len(health) != 2 || health[0].Addr != gone || health[0].Failures != 1 || health[1].Failures != 0 {
		t.Errorf("health %+v: want one failure of the socket that is gone", health)
	}
}

// Nothing that is about the network goes with a socket.
func TestSocketRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"unix:": "absolute", "unix:lmtp": "absolute", "unix:/run/": "absolute", "unix:/a\nb": "absolute",
		"unix:/" + strings.Repeat("x", 107): "107 bytes",
	} {
		if _, err := outbound.ParseHost(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	host, err := outbound.ParseHost("unix:/run/dovecot/lmtp")
	if err != nil || !host.IsSocket() || host.String() != "unix:/run/dovecot/lmtp" {
		t.Errorf("got %v, %v", host, err)
	}
	for name, r := range map[string]outbound.Route{
		"no TLS":    {TLS: outbound.TLSEncrypt},
		"by socks5": {SOCKS5: "127.0.0.1:1080"},
	} {
		r.Name, r.Hosts = "r", []string{"unix:/run/lmtp"}
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}
