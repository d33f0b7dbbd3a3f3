package outbound

import (
	"cmp"
	"context"
	"fmt"
	"net"

	"golang.org/x/net/proxy"
)

// dialFunc opens a connection.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Dial makes the default dialler fit for a proxy's client.
func (d dialFunc) Dial(network, address string) (net.Conn, error) {
	return d(context.Background(), network, address)
}

// DialContext does the same within a context.
func (d dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d(ctx, network, address)
}

// dialler is how connections of the route are opened: from its source address, through its
// proxy, or as they come.
func (t *Transport) dialler(r *Route) (dialFunc, error) {
	switch {
	case r.SOCKS5 != "":
		d, err := proxy.SOCKS5("tcp", r.SOCKS5, nil, dialFunc(t.o.Dial))
		if err != nil {
			return nil, err
		}
		through, ok := d.(proxy.ContextDialer)
		if !ok {
			return nil, fmt.Errorf("the SOCKS5 client %T cannot be stopped", d)
		}
		return through.DialContext, nil
	case r.Source.IsValid():
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: r.Source.AsSlice()}}
		return d.DialContext, nil
	}
	return t.o.Dial, nil
}

// hostname is our name on the route.
func (t *Transport) hostname(r *Route) string { return cmp.Or(r.Hostname, t.o.Hostname) }

// identity is the part of a site's key that says who we are to the hosts, and how we write to them.
func (r *Route) identity() string {
	text := ""
	if r.Source.IsValid() {
		text += " source=" + r.Source.String()
	}
	if r.Hostname != "" {
		text += " name=" + r.Hostname
	}
	if r.SOCKS5 != "" {
		text += " socks5=" + r.SOCKS5
	}
	if len(r.Header.Add)+len(r.Header.Remove) > 0 {
		text += " header=" + r.Header.mark()
	}
	return text
}

// validateSource says what is wrong with the way out of this machine.
func (r *Route) validateSource(fault func(format string, args ...any)) {
	if r.SOCKS5 == "" {
		return
	}
	if r.Source.IsValid() {
		fault("has both a source and socks5: connections come from the proxy")
	}
	if host, port, err := net.SplitHostPort(r.SOCKS5); err != nil || host == "" || port == "" {
		fault("socks5 %q is not host:port", r.SOCKS5)
	}
}
