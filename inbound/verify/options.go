package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// The methods that can be asked for, by their names in RFC 8601.
const (
	SPF   = "spf"
	DKIM  = "dkim"
	DMARC = "dmarc"
)

// Methods are all methods.
func Methods() []string { return []string{SPF, DKIM, DMARC} }

// Defaults of Options.
const (
	// DefaultTimeout leaves room within what clients wait for the end of data (RFC 5321
	// section 4.5.3.2.6).
	DefaultTimeout = 15 * time.Second
	// DefaultLookups is more than SPF allows (10, and 10 for the addresses of each MX are
	// rare), with five signatures and a policy.
	DefaultLookups = 40
	// DefaultSignatures is how many signatures of a message are looked at, the top ones.
	DefaultSignatures = 5
)

// Resolver asks DNS. *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// Options are what New needs. Hostname, Methods and Resolver must be set.
type Options struct {
	// Hostname is our name in what is stamped: the authserv-id.
	Hostname string
	// Methods are those of Methods that are wanted; DMARC needs the others and brings them.
	Methods  []string
	Resolver Resolver
	// Timeout bounds all that is done about a message.
	Timeout time.Duration
	// Lookups bounds what DNS is asked about a message.
	Lookups int
	// Signatures bounds how many signatures of a message are looked at.
	Signatures int
}

func (o Options) withDefaults() (Options, error) {
	if o.Hostname == "" || o.Resolver == nil || len(o.Methods) == 0 {
		return o, errors.New("verify: hostname, methods and resolver must be set")
	}
	for _, m := range o.Methods {
		if m != SPF && m != DKIM && m != DMARC {
			return o, fmt.Errorf("verify: %q is not spf, dkim or dmarc", m)
		}
	}
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.Lookups = cmp.Or(o.Lookups, DefaultLookups)
	o.Signatures = cmp.Or(o.Signatures, DefaultSignatures)
	return o, nil
}
