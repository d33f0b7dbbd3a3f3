package configs

import (
	"fmt"
	patterns "path"
	"slices"

	"postrider/relay"
)

// shaping is how what goes out is shared and how fast it goes.
type shaping struct {
	Flow         []relay.FlowBy     `yaml:"flow"`
	RetryShare   float64            `yaml:"retry_share"`
	KnownMemory  size               `yaml:"known_memory"`
	Flows        []flowShape        `yaml:"flows"`
	Destinations []destinationShape `yaml:"destinations"`
	Providers    []providerShape    `yaml:"providers"`
}

// flowShape is what the flows of a name get.
type flowShape struct {
	Name   string       `yaml:"name"`
	Weight float64      `yaml:"weight"`
	Rates  []relay.Rate `yaml:"rates"`
}

// destinationShape is what goes to each of the domains of a name.
type destinationShape struct {
	Domain      string       `yaml:"domain"`
	Connections int          `yaml:"connections"`
	Rates       []relay.Rate `yaml:"rates"`
}

// providerShape is what goes to all hosts of a provider.
type providerShape struct {
	Name        string       `yaml:"name"`
	MX          []string     `yaml:"mx"`
	Connections int          `yaml:"connections"`
	Rates       []relay.Rate `yaml:"rates"`
}

func defaultShaping() shaping {
	return shaping{Flow: relay.DefaultFlowBy(), RetryShare: relay.DefaultRetryShare, KnownMemory: relay.DefaultKnownMemory}
}

// composeLimits gives the scheduler what the file says of rates and shares.
func (f *file) composeLimits(c *Config) relay.Limits {
	c.Scheduler.KnownMemory = int64(f.Shaping.KnownMemory)
	l := relay.Limits{Routes: c.routeRates()}
	for _, s := range f.Shaping.Flows {
		l.Flows = append(l.Flows, relay.FlowLimit(s))
	}
	for _, s := range f.Shaping.Destinations {
		l.Destinations = append(l.Destinations, relay.DestinationLimit(s))
	}
	for _, s := range f.Shaping.Providers {
		l.Providers = append(l.Providers, relay.ProviderLimit(s))
	}
	return l
}

// routeRates moves the rates of routes by MX to the scheduler: they are of all that goes by the
// route, to whatever site. Those to hosts are the site's.
func (c *Config) routeRates() map[string][]relay.Rate {
	rates := make(map[string][]relay.Rate)
	for i := range c.Outbound.Routes {
		if r := &c.Outbound.Routes[i]; r.MX && len(r.Rates) > 0 {
			rates[r.Name], r.Rates = r.Rates, nil
		}
	}
	return rates
}

// knownMemoryLeast is room for some hundred destinations.
const knownMemoryLeast = 1e6

// check wants patterns that can match, each once, and numbers that make sense.
func (s *shaping) check(r *report) {
	if s.RetryShare <= 0 || s.RetryShare > 1 {
		r.fault("shaping.retry_share", "%g is not a share: want more than 0 and at most 1", s.RetryShare)
	}
	if s.KnownMemory < knownMemoryLeast {
		r.fault("shaping.known_memory", "%d bytes are too little: want 1MB at least", s.KnownMemory)
	}
	if len(s.Flow) == 0 {
		r.fault("shaping.flow", "needs one of %s at least", list(relay.FlowByWords()))
	}
	var flows, domains, names []string
	for i, f := range s.Flows {
		at := fmt.Sprintf("shaping.flows[%d]", i)
		flows = checkPattern(r, at+".name", f.Name, flows)
		if f.Weight < 0 {
			r.fault(at+".weight", "%g is less than 0", f.Weight)
		}
	}
	for i, d := range s.Destinations {
		at := fmt.Sprintf("shaping.destinations[%d]", i)
		domains = checkPattern(r, at+".domain", d.Domain, domains)
		checkConnections(r, at, d.Connections)
	}
	for i, p := range s.Providers {
		at := fmt.Sprintf("shaping.providers[%d]", i)
		if p.Name == "" || slices.Contains(names, p.Name) {
			r.fault(at+".name", "needs a name of its own")
		}
		names = append(names, p.Name)
		if len(p.MX) == 0 {
			r.fault(at+".mx", "needs the names of hosts, such as *.protection.outlook.com")
		}
		var hosts []string
		for k, host := range p.MX {
			hosts = checkPattern(r, fmt.Sprintf("%s.mx[%d]", at, k), host, hosts)
		}
		checkConnections(r, at, p.Connections)
	}
}

func checkConnections(r *report, at string, n int) {
	if n < 0 {
		r.fault(at+".connections", "%d is less than 0", n)
	}
}

// checkPattern looks at a name with wildcards, and returns those seen with it.
func checkPattern(r *report, at, pattern string, seen []string) []string {
	_, err := patterns.Match(pattern, "")
	switch {
	case pattern == "":
		r.fault(at, "needs a name, which may have * for any characters")
	case err != nil:
		r.fault(at, "%q is not a name with * for any characters", pattern)
	case slices.Contains(seen, pattern):
		r.fault(at, "%q stands above already, and the first that matches counts", pattern)
	}
	return append(seen, pattern)
}
