package auth

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"postrider/relay"
)

// The mechanisms.
const (
	Plain = "PLAIN"
	Login = "LOGIN"
	SCRAM = "SCRAM-SHA-256"
)

// The defaults of Options.
const (
	DefaultCacheTTL = time.Minute
	DefaultDelay    = 100 * time.Millisecond
	// DefaultTimeout is that of LDAPOptions and HTTPOptions.
	DefaultTimeout = 5 * time.Second

	DefaultLDAPConnections = 8
	DefaultHTTPConnections = 16
)

// DefaultFailures is how many attempts may fail by default.
func DefaultFailures() Rate { return Rate{N: 20, Per: time.Hour} }

// Options are what New needs. At least one of File, LDAP and HTTP must be given; they are
// asked in this order, each about the users that the one before does not know.
type Options struct {
	// File has a line "name:secret[:options]" for each user. A change is noticed at the next AUTH.
	File string
	LDAP *LDAPOptions
	HTTP *HTTPOptions
	// Mechanisms are offered, in this order. By default PLAIN and LOGIN are, and
	// SCRAM-SHA-256 first where all users can use it: many clients take the best that is
	// offered and do not try another one.
	Mechanisms []string
	// FromHeader holds the From field of messages to the user's senders too.
	FromHeader bool
	// CacheTTL is how long a password that was found right is remembered. A minute by
	// default; negative means not at all.
	CacheTTL time.Duration
	// Failures is how many attempts of one client network, and for one user, may fail. 20 an
	// hour by default; a negative number means no limit.
	Failures Rate
	// Delay is what the first failure waits for its answer; each further one waits twice as
	// long, up to 10 s. 100 ms by default; negative means not at all.
	Delay time.Duration
	// Fault is told of what fails and is contained.
	Fault func(relay.Fault)
	Now   func() time.Time
}

// IsZero says that no users are configured.
func (o Options) IsZero() bool { return o.File == "" && o.LDAP == nil && o.HTTP == nil }

func (o Options) withDefaults() Options {
	o.CacheTTL = cmp.Or(o.CacheTTL, DefaultCacheTTL)
	o.Delay = max(0, cmp.Or(o.Delay, DefaultDelay))
	o.Failures = cmp.Or(o.Failures, DefaultFailures())
	if o.Fault == nil {
		o.Fault = func(relay.Fault) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func (o Options) validate() error {
	var faults []error
	if o.IsZero() {
		faults = append(faults, errors.New("users: a listener asks for AUTH, but there are no users: name a file, ldap or http"))
	}
	for _, m := range o.Mechanisms {
		if !slices.Contains([]string{Plain, Login, SCRAM}, m) {
			faults = append(faults, fmt.Errorf("users: mechanism %q: must be %s, %s or %s", m, Plain, Login, SCRAM))
		}
	}
	if slices.Contains(o.Mechanisms, SCRAM) && o.File == "" {
		faults = append(faults, fmt.Errorf("users: mechanism %s needs a users file", SCRAM))
	}
	return errors.Join(faults...)
}
