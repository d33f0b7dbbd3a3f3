package outbound

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"postrider/relay"
)

// Route is a way out. It goes either by the MX records of the recipients' domain or to
// configured smart hosts.
type Route struct {
	// Name is what destinations call the route. It has no slash.
	Name string
	// MX delivers to the hosts that DNS names for the destination's domain.
	MX bool
	// Hosts are the smart hosts, in order of preference: "host", "host:port",
	// "[192.0.2.1]:25", "[IPv6:2001:db8::1]:25", a bare address, or "unix:/path" for a socket of
	// this machine. The port is 25 where none is given. Port 465 speaks TLS from the start (RFC
	// 8314 section 3.3), a socket never.
	Hosts []string
	// LMTP says that the hosts speak LMTP (RFC 2033).
	LMTP bool
	// TLS is what is asked of the encryption. The zero value is TLSMay.
	TLS TLSLevel
	// Auth is who we are to the smart hosts; nil for nobody.
	Auth *Credentials
	// PlainAuth lets the credentials be sent without verified TLS.
	PlainAuth bool
	// Source is the address that connections come from; the system's choice where it is not
	// valid. Addresses of hosts of the other family are not used then.
	Source netip.Addr
	// Hostname is our name in EHLO; "" for that of the Options.
	Hostname string
	// SOCKS5 is a proxy, "host:port", through which hosts are reached; "" for none. Names are
	// looked up here all the same.
	SOCKS5 string
	// Connections is the most connections to one site; 0 leaves it to the scheduler.
	Connections int
	// MessagesPerConnection is the most messages that one connection carries; 0 means no
	// limit but that of the Options.
	MessagesPerConnection int
	// Header is what is added to messages and removed from them.
	Header HeaderProfile
	// Rates bound what goes out by the route.
	Rates []relay.Rate
	// Fallback names the routes to hosts that mail takes while this one fails, in order.
	Fallback []string
	// Fingerprints are SHA-256 of certificates or of public keys, in hex, for TLSFingerprint.
	Fingerprints []string
	// reported says that sessions are counted for the reports of domains, and optional that the
	// route is the twin of another for mail that is to be delivered whatever domains demand of TLS.
	reported, optional bool
	// dnssec says that DNSSEC vouches for the mail exchanges of the domain.
	dnssec bool
	// withoutDANE is the level at hosts without usable TLSA records; it is for TLSDANE.
	withoutDANE TLSLevel
	// login tells credentials of the same user apart: it is 0 for the first that the routes have of
	// the user, and counts those that differ.
	login int
	// authentic says that something better than plain DNS vouches for the hosts of the domain.
	authentic bool
	// over is set when the route is configured in this way no longer. Copies of the route share it.
	over *atomic.Bool
}

// TLSLevel is what a route asks of the encryption of a session (conformance, table TLS).
type TLSLevel uint8

// The levels of TLS.
const (
	// TLSMay encrypts where the host offers it and never fails for want of it.
	TLSMay TLSLevel = iota
	// TLSNone never encrypts.
	TLSNone
	// TLSEncrypt sends nothing in clear, and asks nothing of the certificate.
	TLSEncrypt
	// TLSVerify wants a certificate that the roots vouch for and that names the host.
	TLSVerify
	// TLSFingerprint wants one of the certificates or public keys that the route names.
	TLSFingerprint
	// TLSDANE wants what the host's TLSA records name (RFC 7672), and where a host by MX has none
	// that DNSSEC vouches for, is TLSMay.
	TLSDANE
)

// tlsLevels are the words of the levels, in order.
var tlsLevels = [...]string{"may", "none", "encrypt", "verify", "fingerprint", "dane"}

// String gives the level's word in the configuration.
func (l TLSLevel) String() string { return tlsLevels[l] }

// Proves says that the level lets nobody pass for the host.
func (l TLSLevel) Proves() bool { return l >= TLSVerify }

// MarshalText gives the level's word.
func (l TLSLevel) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads may, none, encrypt, verify, fingerprint, dane, or "required", which means encrypt.
func (l *TLSLevel) UnmarshalText(text []byte) error {
	word := string(text)
	if word == "required" {
		word = TLSEncrypt.String()
	}
	i := slices.Index(tlsLevels[:], word)
	if i < 0 {
		return fmt.Errorf("%q is not a TLS level: want none, may, encrypt, verify, fingerprint or dane", text)
	}
	*l = TLSLevel(i)
	return nil
}

// Validate says what is wrong with the route, everything at once.
func (r *Route) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("route %q: "+format, append([]any{r.Name}, args...)...))
	}
	if r.Name == "" || strings.Contains(r.Name, "/") {
		fault("a name must not be empty and has no slash")
	}
	switch {
	case r.MX && len(r.Hosts) > 0:
		fault("has both mx and hosts")
	case !r.MX && len(r.Hosts) == 0:
		fault("has neither mx nor hosts")
	case r.MX && r.LMTP:
		fault("speaks LMTP, which is for hosts and not for mx")
	case r.MX && r.Auth != nil:
		fault("has credentials, which are for hosts and not for mx")
	}
	if (r.TLS == TLSFingerprint) != (len(r.Fingerprints) > 0) {
		fault("fingerprints and the TLS level fingerprint go together")
	}
	for _, text := range r.Fingerprints {
		if _, err := ParseFingerprint(text); err != nil {
			fault("%w", err)
		}
	}
	if r.Connections < 0 || r.MessagesPerConnection < 0 {
		fault("has fewer than no connections or messages")
	}
	if r.Auth != nil {
		if err := r.Auth.Validate(); err != nil {
			fault("%w", err)
		}
	}
	if err := r.Header.Validate(); err != nil {
		fault("%w", err)
	}
	r.validateSource(fault)
	r.validateSockets(fault)
	for _, text := range r.Hosts {
		if _, err := ParseHost(text); err != nil {
			fault("host %q: %w", text, err)
		}
	}
	return errors.Join(faults...)
}

// validateFallback says what is wrong with the fallbacks among all routes.
func (r *Route) validateFallback(all []Route, fault func(format string, args ...any)) {
	for _, name := range r.Fallback {
		i := slices.IndexFunc(all, func(o Route) bool { return o.Name == name })
		switch {
		case name == r.Name:
			fault("route %q falls back to itself", r.Name)
		case i < 0:
			fault("route %q falls back to %q, which there is not", r.Name, name)
		case all[i].MX:
			fault("route %q falls back to %q, which has no hosts of its own", r.Name, name)
		}
	}
}

// Host is a configured smart host: a name, or an address, and a port; or a socket of this machine.
type Host struct {
	// Name is in lower case; for an address, the address's text, and for a socket "unix:/path".
	Name string
	// Addr is valid where an address was given instead of a name.
	Addr netip.Addr
	// Port is 0 for a socket.
	Port uint16
}

// ParseHost reads one of Route.Hosts.
func ParseHost(text string) (Host, error) {
	if host, is, err := parseSocket(text); is {
		return host, err
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return Host{Name: addr.String(), Addr: addr, Port: 25}, nil
	}
	name, port := text, uint16(25)
	if before, after, ok := cutPort(text); ok {
		n, err := strconv.ParseUint(after, 10, 16)
		if err != nil || n == 0 {
			return Host{}, fmt.Errorf("port %q is not in 1 to 65535", after)
		}
		name, port = before, uint16(n)
	}
	if addr, ok := parseBracketed(name); ok {
		return Host{Name: addr.String(), Addr: addr, Port: port}, nil
	}
	if addr, err := netip.ParseAddr(name); err == nil && addr.Is4() {
		return Host{Name: addr.String(), Addr: addr, Port: port}, nil
	}
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		name = name[1 : len(name)-1]
	}
	name, err := toASCII(name)
	if err != nil {
		return Host{}, errors.New("not a host name or an address literal")
	}
	return Host{Name: name, Port: port}, nil
}

// String gives the host with its port.
func (h Host) String() string {
	if h.IsSocket() {
		return h.Name
	}
	return net.JoinHostPort(h.Name, strconv.Itoa(int(h.Port)))
}

// cutPort splits at the colon before the port, which is the last one and not inside brackets.
func cutPort(text string) (host, port string, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 || strings.Contains(text[i:], "]") {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

// parseBracketed reads the literals of RFC 5321 section 4.1.3, and [2001:db8::1], which is how
// a URL has it.
func parseBracketed(text string) (netip.Addr, bool) {
	if addr, ok := relay.ParseLiteral(text); ok {
		return addr, true
	}
	if !strings.HasPrefix(text, "[") || !strings.HasSuffix(text, "]") {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(text[1 : len(text)-1])
	return addr, err == nil
}
