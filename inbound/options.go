package inbound

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"postrider/inbound/auth"
	"postrider/relay"
)

// Options are what New needs. Zero values of Limits, Now and Grace mean their defaults.
type Options struct {
	// Hostname is our name in the greeting.
	Hostname  string
	Listeners []Listener
	// Users may authenticate; its Fault and Now are the server's.
	Users    auth.Options
	Limits   Limits
	Receiver *relay.Receiver
	Observer relay.Observer
	Now      func() time.Time
	// Grace is how long a message that is being received may take to its end after Run's
	// context has ended. 30 s by default.
	Grace time.Duration
}

// Listener is one address to take connections at.
type Listener struct {
	// Name is what Origin.Listener, logs and rules know it by. Each has its own.
	Name string
	// Address is "host:port", ":port" or "unix:/path".
	Address string
	TLS     TLSOptions
	Auth    AuthMode
	// AuthInsecure says where AUTH is to be had without TLS.
	AuthInsecure AuthInsecure
	Limits       Limits
}

// TLSMode says when a listener's sessions are encrypted.
type TLSMode string

// The TLS modes. The empty mode is TLSStartTLS where a certificate is given, else TLSNone.
const (
	TLSNone     TLSMode = "none"
	TLSStartTLS TLSMode = "starttls"
	TLSImplicit TLSMode = "implicit"
)

// TLSOptions name a listener's certificate chain and key, as PEM files.
type TLSOptions struct {
	CertFile string
	KeyFile  string
	Mode     TLSMode
}

// AuthMode says whether a listener's clients may or must authenticate.
type AuthMode string

// The modes of AUTH. The empty mode is AuthOff.
const (
	AuthOff      AuthMode = "off"
	AuthOptional AuthMode = "optional"
	AuthRequired AuthMode = "required"
)

// Limits bound what clients can take from us. A zero limit means its default.
type Limits struct {
	// MessageSize is the largest message, in bytes. 50 MB by default.
	MessageSize int64
	// Recipients is the most recipients of one message. 1000 by default.
	Recipients int
	// Connections is the most sessions at once, over all listeners. 1000 by default.
	Connections int
	// ConnectionsPerClient is the most sessions of one client network: an IPv4 address or
	// an IPv6 /64. 200 by default. Unix sockets are not held to it.
	ConnectionsPerClient int
	// ConnectionsPerUser is the most sessions of one authenticated user. No limit by default.
	ConnectionsPerUser int
	// Errors is how many refused commands end a session. 20 by default.
	Errors int
	// CommandLength is the longest command line with its line end, in bytes. 4096 by default.
	CommandLength int
	// Idle is the longest wait for a command, and for the next bytes of a message. 5
	// minutes by default (RFC 5321 section 4.5.3.2.7).
	Idle time.Duration
	// DataMinRate is the least average rate of a message's content, in bytes per second,
	// after a first Idle. 1000 by default.
	DataMinRate int64
	// DataTotal is the longest time from DATA to the final dot. 1 hour by default.
	DataTotal time.Duration
}

func (l Limits) withDefaults() Limits {
	l.MessageSize = cmp.Or(l.MessageSize, 50_000_000)
	l.Recipients = cmp.Or(l.Recipients, 1000)
	l.Connections = cmp.Or(l.Connections, 1000)
	l.ConnectionsPerClient = cmp.Or(l.ConnectionsPerClient, 200)
	l.Errors = cmp.Or(l.Errors, 20)
	l.CommandLength = cmp.Or(l.CommandLength, 4096)
	l.Idle = cmp.Or(l.Idle, 5*time.Minute)
	l.DataMinRate = cmp.Or(l.DataMinRate, 1000)
	l.DataTotal = cmp.Or(l.DataTotal, time.Hour)
	return l
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.withDefaults()
	o.Grace = cmp.Or(o.Grace, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Validate reports every fault of the configuration at once, unreadable certificates and
// users included. It binds nothing.
func (o Options) Validate() error {
	o = o.withDefaults()
	var faults []error
	if o.Hostname == "" {
		faults = append(faults, errors.New("no hostname"))
	}
	if len(o.Listeners) == 0 {
		faults = append(faults, errors.New("no listener"))
	}
	faults = append(faults, o.Limits.validate())
	names := map[string]bool{}
	for _, l := range o.Listeners {
		if names[l.Name] {
			faults = append(faults, fmt.Errorf("listener %q: the name is used twice", l.Name))
		}
		names[l.Name] = true
		if err := l.validate(); err != nil {
			faults = append(faults, fmt.Errorf("listener %q: %w", l.Name, err))
		}
	}
	if slices.ContainsFunc(o.Listeners, Listener.authenticates) {
		_, err := auth.New(o.Users)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (l Limits) validate() error {
	least := min(l.MessageSize, int64(l.Recipients), int64(l.Connections), int64(l.ConnectionsPerClient), int64(l.ConnectionsPerUser),
		int64(l.Errors), int64(l.Idle), l.DataMinRate, int64(l.DataTotal))
	if least < 0 {
		return errors.New("a limit is negative")
	}
	// RFC 5321 section 4.5.3.1.4, and room in the buffer that commands are read from.
	if l.CommandLength < 512 || l.CommandLength > bufferSize {
		return fmt.Errorf("command length %d: must be from 512 to %d", l.CommandLength, bufferSize)
	}
	return nil
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
	_, err := l.TLS.config()
	return errors.Join(append(faults, err)...)
}

// network splits the address as net.Listen wants it.
func (l Listener) network() (network, address string) {
	if path, ok := strings.CutPrefix(l.Address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", l.Address
}

func (l Listener) authenticates() bool { return l.Auth == AuthOptional || l.Auth == AuthRequired }
