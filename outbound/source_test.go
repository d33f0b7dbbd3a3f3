package outbound_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// A route has a source address and a name of its own.
func TestSource(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, outboundtest.Script{})
	tr := smart(t, func(o *outbound.Options) {
		o.Routes[0].Source, o.Routes[0].Hostname = netip.MustParseAddr("127.0.0.9"), "out9.relay.test"
	}, p)
	wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test")), "250")
	s := p.Sessions()[0]
	if !strings.HasPrefix(s.Client, "127.0.0.9:") || s.Commands[0] != "EHLO out9.relay.test" {
		t.Errorf("from %s with %q", s.Client, s.Commands[0])
	}
	site := resolve(t, tr, relay.Destination{Route: routeSmart})
	if !strings.HasSuffix(site.Key, " source=127.0.0.9 name=out9.relay.test") {
		t.Errorf("key %q does not tell the identity", site.Key)
	}
}

// Hosts of the other family than the source's cannot be reached from it.
func TestSourceFamily(t *testing.T) {
	t.Parallel()
	d := outboundtest.NewDNS(t, "to.test. 60 IN MX 10 a.to.test.", "a.to.test. 60 IN A 192.0.2.1", "a.to.test. 60 IN AAAA 2001:db8::1")
	site := func(source string) *relay.Site {
		tr := internet(t, d, func(o *outbound.Options) { o.Routes[0].Source = netip.MustParseAddr(source) })
		site := resolve(t, tr, relay.Destination{Route: routeMX, Domain: "to.test"})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := tr.Dial(ctx, site)
		if got := asReply(t, err).Text; strings.Contains(got, "2001:db8") != strings.Contains(source, ":") {
			t.Errorf("from %s: %s", source, got)
		}
		return site
	}
	if site("127.0.0.9").Key == site("::1").Key {
		t.Error("two sources share connections")
	}
}

// socks is a SOCKS5 server without authentication (RFC 1928) that counts its connections.
func socks(t *testing.T, refuse bool) (address string, count func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := make(chan int, 1)
	n <- 0
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n <- <-n + 1
			go serveSOCKS(c, refuse)
		}
	}()
	return l.Addr().String(), func() int { v := <-n; n <- v; return v }
}

func serveSOCKS(c net.Conn, refuse bool) {
	defer c.Close()
	greeting, request := make([]byte, 3), make([]byte, 10)
	if _, err := io.ReadFull(c, greeting); err != nil {
		return
	}
	c.Write([]byte{5, 0})
	if _, err := io.ReadFull(c, request); err != nil || !bytes.Equal(request[:4], []byte{5, 1, 0, 1}) {
		return
	}
	if refuse {
		c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte(request[4:8])), uint16(request[8])<<8|uint16(request[9]))
	to, err := net.Dial("tcp", addr.String())
	if err != nil {
		return
	}
	defer to.Close()
	c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go io.Copy(to, c)
	io.Copy(c, to)
}

// A route goes through a proxy, and one that refuses is a host that cannot be reached.
func TestSOCKS5(t *testing.T) {
	t.Parallel()
	for _, refuse := range []bool{false, true} {
		address, count := socks(t, refuse)
		p := outboundtest.NewPeer(t, outboundtest.Script{})
		tr := smart(t, func(o *outbound.Options) { o.Routes[0].SOCKS5 = address }, p)
		if refuse {
			if r := dialFault(t, tr); r.Enhanced != (relay.EnhancedCode{4, 4, 1}) {
				t.Errorf("reply = %s, want 4.4.1", r)
			}
		} else {
			wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test")), "250")
		}
		if count() != 1 {
			t.Errorf("%d connections through the proxy, want 1", count())
		}
		site := resolve(t, tr, relay.Destination{Route: routeSmart})
		if !strings.HasSuffix(site.Key, " socks5="+address) {
			t.Errorf("key %q does not tell the proxy", site.Key)
		}
	}
}

// Options of the way out that cannot work are found out at once.
func TestSourceOptions(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]outbound.Route{
		"both a source and socks5": {Name: "r", Hosts: []string{"192.0.2.1"}, SOCKS5: "127.0.0.1:1080", Source: netip.MustParseAddr("127.0.0.9")},
		"not host:port":            {Name: "r", Hosts: []string{"192.0.2.1"}, SOCKS5: "proxy"},
		"must be a full name":      {Name: "r", MX: true, Hostname: "short"},
	} {
		_, err := outbound.New(outbound.Options{Hostname: "relay.test", Routes: []outbound.Route{r}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
