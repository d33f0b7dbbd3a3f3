package outbound

import (
	"errors"
	"net/netip"
	"strings"
)

// maxSocket is the longest path that a Unix socket can have, in bytes.
const maxSocket = 107

// parseSocket reads a host that is a Unix socket of this machine, "unix:/path". In the place of an
// address it has one of this machine whose zone is the path, and no port: so it is told from others
// wherever addresses are.
func parseSocket(text string) (host Host, is bool, err error) {
	path, is := strings.CutPrefix(text, "unix:")
	switch {
	case !is:
		return Host{}, false, nil
	case !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' }):
		return Host{}, true, errors.New("a Unix socket is an absolute path, as in unix:/run/dovecot/lmtp")
	case len(path) > maxSocket:
		return Host{}, true, errors.New("the path of a Unix socket has at most 107 bytes")
	}
	return Host{Name: text, Addr: netip.IPv6Loopback().WithZone(path)}, true, nil
}

// IsSocket says that the host is a Unix socket.
func (h Host) IsSocket() bool { return h.Port == 0 }

// isSocket says that the address is a Unix socket's.
func (r remote) isSocket() bool { return r.addr.Port() == 0 }

// endpoint is what a dialler is given.
func (r remote) endpoint() (network, address string) {
	if r.isSocket() {
		return "unix", r.addr.Addr().Zone()
	}
	return "tcp", r.addr.String()
}

// address is the text of the address, in the form that Route.Hosts has for a socket.
func (r remote) address() string {
	if r.isSocket() {
		return r.name
	}
	return r.addr.String()
}

// validateSockets says what does not go with a host that is a socket.
func (r *Route) validateSockets(fault func(format string, args ...any)) {
	for _, text := range r.Hosts {
		host, err := ParseHost(text)
		if err != nil || !host.IsSocket() {
			continue
		}
		if r.TLS != TLSMay && r.TLS != TLSNone {
			fault("host %q is a Unix socket, where there is no TLS", text)
		}
		if r.Source.IsValid() || r.SOCKS5 != "" {
			fault("host %q is a Unix socket, to which nothing comes from a source or by socks5", text)
		}
	}
}
