package tlsrpt

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
)

// errNotPublic says that an address from a stranger's record is one of our own network.
var errNotPublic = errors.New("not a public address")

// publicClient is an HTTP client for addresses that strangers name: it follows nobody elsewhere
// and, where no proxy does it for us, connects to public addresses only.
func publicClient() *http.Client {
	proxied := http.DefaultTransport
	direct := &http.Transport{
		DialContext: (&net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
			addr, err := netip.ParseAddrPort(address)
			if err != nil || !public(addr.Addr().Unmap()) {
				return errNotPublic
			}
			return nil
		}}).DialContext,
		ForceAttemptHTTP2: true, MaxIdleConns: 1, DisableKeepAlives: true,
	}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if proxy, err := http.ProxyFromEnvironment(r); err == nil && proxy != nil {
				return proxied.RoundTrip(r)
			}
			return direct.RoundTrip(r)
		}),
	}
}

func public(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsPrivate() }

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
