package inbound

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"postrider/relay"
)

// Listener is one address to take connections at.
type Listener struct {
	// Name is what Origin.Listener, logs and rules know it by. Each has its own.
	Name string
	// Address is "host:port", ":port" or "unix:/path".
	Address string
	// Socket says who may connect to a Unix socket. One in Options.Bound stays as it is.
	Socket Socket
	TLS    TLSOptions
	Auth   AuthMode
	// AuthInsecure says where AUTH is to be had without TLS.
	AuthInsecure AuthInsecure
	Profile      Profile
	// Strict refuses messages with bare line ends or without the empty line after the header instead
	// of mending them, and those with long lines.
	Strict bool
	// Submission completes the messages of mail programs: see relay.Handling.
	Submission bool
	// HideClient leaves the client out of the Received field.
	HideClient bool
	// Verifier finds out where messages come from, nil for nobody.
	Verifier relay.Verifier
	// Judges decide about messages before the rules do, in order.
	Judges []relay.Judge
	// RecipientJudges decide about recipients that the rules take, in order.
	RecipientJudges []relay.RecipientJudge
	// Discard are the EHLO keywords of the extensions not to offer.
	Discard []string
	// ProxyProtocol are the load balancers: every connection from these networks begins
	// with a PROXY header, which names the client.
	ProxyProtocol []netip.Prefix
	// XClient are the networks of the filters that may name another client with XCLIENT.
	XClient []netip.Prefix
	// MTPriority are the networks whose clients may ask for precedence with MT-PRIORITY. Others
	// must authenticate for that.
	MTPriority []netip.Prefix
	// Limits are this listener's. A zero limit is that of the Options.
	Limits Limits
}

// Profile is a set of concessions to the clients of a listener.
type Profile string

// The profiles. The empty profile makes no concessions. ProfileLegacy is for old devices:
// TLS 1.0, the EHLO line "AUTH=" of Outlook 97, EHLO without a name, and addresses without
// a domain, which are given ours.
const (
	ProfileStandard Profile = "standard"
	ProfileLegacy   Profile = "legacy"
)

// AuthMode says whether a listener's clients may or must authenticate.
type AuthMode string

// The modes of AUTH. The empty mode is AuthOff.
const (
	AuthOff      AuthMode = "off"
	AuthOptional AuthMode = "optional"
	AuthRequired AuthMode = "required"
)

// Keywords are the extensions that a listener offers and can be told not to.
func Keywords() []string {
	return []string{
		"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN", "SIZE",
		"LIMITS", "MT-PRIORITY", "STARTTLS", "REQUIRETLS", "AUTH", "XCLIENT",
	}
}

func (l Listener) validate() error {
	var faults []error
	if l.Name == "" {
		faults = append(faults, errors.New("no name"))
	}
	switch network, address := l.network(); {
	case network == "unix" && address == "":
		faults = append(faults, errors.New("unix: without a path"))
	case network == "tcp":
		if _, _, err := net.SplitHostPort(address); err != nil {
			faults = append(faults, fmt.Errorf("address: %w", err))
		}
	}
	switch l.Auth {
	case "", AuthOff, AuthOptional, AuthRequired:
	default:
		faults = append(faults, fmt.Errorf("auth mode %q: must be off, optional or required", l.Auth))
	}
	switch l.AuthInsecure {
	case "", AuthLoopback, AuthNever:
	default:
		faults = append(faults, fmt.Errorf("insecure auth %q: must be loopback or never", l.AuthInsecure))
	}
	switch l.Profile {
	case "", ProfileStandard, ProfileLegacy:
	default:
		faults = append(faults, fmt.Errorf("profile %q: must be standard or legacy", l.Profile))
	}
	for _, keyword := range l.Discard {
		if !slices.Contains(Keywords(), strings.ToUpper(keyword)) {
			faults = append(faults, fmt.Errorf("discard: %q is none of %s", keyword, strings.Join(Keywords(), ", ")))
		}
	}
	faults = append(faults, l.Socket.validate(l.network()))
	_, err := newKeyring(l.TLS)
	return errors.Join(append(faults, l.Limits.validate(), err)...)
}

// network splits the address as net.Listen wants it.
func (l Listener) network() (network, address string) {
	if path, ok := strings.CutPrefix(l.Address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", l.Address
}

func (l Listener) authenticates() bool { return l.Auth == AuthOptional || l.Auth == AuthRequired }

// handling is what transactions are told of the listener.
func (l Listener) handling() relay.Handling {
	return relay.Handling{
		Strict: l.Strict, Submission: l.Submission, HideClient: l.HideClient, Verifier: l.Verifier, Judges: l.Judges,
		RecipientJudges: l.RecipientJudges,
		MessageSize:     l.Limits.MessageSize, Recipients: l.Limits.Recipients,
	}
}

// offers says whether an extension may be offered.
func (l Listener) offers(keyword string) bool {
	return !slices.ContainsFunc(l.Discard, func(d string) bool { return strings.EqualFold(d, keyword) })
}

// within says whether one of the networks has the client.
func within(networks []netip.Prefix, client netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(client) })
}
