package configs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"postrider/dkim"
	"postrider/inbound"
	"postrider/inbound/hook"
	"postrider/inbound/milter"
	"postrider/inbound/verify"
	"postrider/outbound"
	"postrider/policy"
	"postrider/relay"
	relayadmin "postrider/relay/admin"
	"postrider/relay/feed"
	suppress "postrider/relay/suppression"
	"postrider/spool"
)

// maxFile bounds the configuration file, in bytes.
const maxFile = 1 << 20

// Config is a configuration that was found good: the Options of every package, with
// what is configured filled in. What else they need, such as clocks and each other, is
// up to the caller.
type Config struct {
	// Hostname is our name, and Data the directory of everything that we keep.
	Hostname, Data string

	Spool    spool.Options
	Inbound  inbound.Options
	Outbound outbound.Options
	Policy   policy.Options
	DKIM     dkim.Options
	// Verify has the listeners that find out where messages come from, by name. The resolver is
	// up to the caller.
	Verify map[string]verify.Options
	// Milters has the milters of the listeners that have any, by the listener's name. Fault is up
	// to the caller.
	Milters map[string][]milter.Options
	// PolicyServices has the services that listeners ask, likewise.
	PolicyServices map[string][]PolicyService
	// Hooks has the HTTP services that listeners ask, likewise.
	Hooks     map[string][]hook.Options
	Receiver  relay.ReceiverOptions
	Scheduler relay.SchedulerOptions
	// TLSReports says how domains are told of TLS with their hosts.
	TLSReports TLSReports
	Admin      Admin
	// Suppression says who is suppressed, and for how long.
	Suppression suppress.Terms
	// Events says where events go; nil for nowhere.
	Events *feed.Options
	Log    Log
	// Shown is the file without its secrets, for operators to see.
	Shown string

	// file is what it was composed of.
	file *file
	// routed says that the file has routes, torn that its last line has no end.
	routed, torn bool
}

// Admin is where operators reach us.
type Admin struct {
	// Socket is the path of a Unix socket.
	Socket string
	// HTTP is a "host:port"; "" for none.
	HTTP string
	// TLS and Tokens are the address's.
	TLS    relayadmin.TLS
	Tokens []relayadmin.Token
}

// Log says what is logged, and how.
type Log struct {
	// Level is debug, info, warn or error.
	Level string
	// Format is json or text, or auto, which is text at a terminal and json elsewhere.
	Format string
}

// Load reads a configuration file. The error is Faults where the file could be read.
func Load(name string, o Overrides) (*Config, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("read the configuration: %s is larger than %d bytes", name, maxFile)
	}
	return load(name, text, o)
}

// Default is the configuration without a file: mail from loopback clients, on
// 127.0.0.1:2525, goes to the MX hosts of its recipients.
func Default(o Overrides) (*Config, error) {
	return load("", nil, o)
}

func load(name string, text []byte, o Overrides) (*Config, error) {
	o = o.withDefaults()
	r := newReport(name, string(text))
	f := defaults()
	d := decoder{report: r, secrets: secrets{dir: filepath.Dir(name), lookupEnv: o.LookupEnv}}
	d.decode(text, f)
	o.apply(f, r)
	f.applyPresets(r)
	f.check(r)
	c := f.compose()
	c.file = f
	_, c.routed = r.places["routes"]
	c.torn = len(text) > 0 && text[len(text)-1] != '\n'
	f.composeRules(c, filepath.Dir(name))
	c.check(r, o.KeysToCome)
	if err := r.err(); err != nil {
		return nil, err
	}
	c.Shown = shown(text)
	return c, nil
}

// check lets the packages look at what is theirs, and finds the places of what they say.
func (c *Config) check(r *report, keysToCome bool) {
	_, err := policy.New(c.Policy)
	for _, err := range flatten(err) {
		var fault *policy.FieldError
		switch {
		case !errors.As(err, &fault):
			r.at(place{}, "%s", err)
		case fault.Path == "hostname": // was looked at before
		case fault.Column > 0:
			r.inside(fault.Path, c.expression(fault.Path), fault.Line, fault.Column, fault.Err)
		default:
			r.fault(fault.Path, "%s", fault.Err)
		}
	}
	c.checkKeys(r, keysToCome)
	// What only they know, such as the lines of the users file, has no place.
	if len(r.faults) == 0 {
		for _, err := range flatten(c.Inbound.Validate()) {
			r.at(place{}, "%s", err)
		}
	}
}

// flatten gives the errors that were joined.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}
