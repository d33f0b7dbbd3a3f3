package configs

import (
	"fmt"
	"slices"
	"strings"

	"postrider/outbound"
	"postrider/policy"
	"postrider/relay"
)

// provider is where mail goes and how: a route has one, or several to choose among.
type provider struct {
	Preset                string             `yaml:"preset"`
	Hosts                 []string           `yaml:"hosts"`
	TLS                   *outbound.TLSLevel `yaml:"tls"`
	Fingerprints          []string           `yaml:"fingerprints"`
	Auth                  credentials        `yaml:"auth"`
	Connections           int                `yaml:"connections"`
	MessagesPerConnection int                `yaml:"messages_per_connection"`
	Rates                 []relay.Rate       `yaml:"rates"`
	Header                profile            `yaml:"header"`
}

// share is one of a route's providers.
type share struct {
	Name   string `yaml:"name"`
	Weight int    `yaml:"weight"`
	provider
}

// profile is what is added to messages and removed from them.
type profile struct {
	Add    []string `yaml:"add"`
	Remove []string `yaml:"remove"`
}

// inherit fills in what a provider leaves to its route. Presets are applied after it, so that what the
// route says goes before what a preset knows.
func (p *provider) inherit(from *provider) {
	if p.TLS == nil {
		p.TLS, p.Fingerprints = from.TLS, from.Fingerprints
	}
	if p.Rates == nil {
		p.Rates = from.Rates
	}
	setDefault(&p.Auth, from.Auth)
	setDefault(&p.Connections, from.Connections)
	setDefault(&p.MessagesPerConnection, from.MessagesPerConnection)
	p.Header.inherit(&from.Header)
}

// inherit adds what is said elsewhere, but for fields that are added here already.
func (p *profile) inherit(from *profile) {
	own := make(map[string]bool)
	for _, text := range p.Add {
		own[fieldName(text)] = true
	}
	p.Add = slices.Clip(p.Add)
	for _, text := range from.Add {
		if !own[fieldName(text)] {
			p.Add = append(p.Add, text)
		}
	}
	p.Remove = append(slices.Clip(p.Remove), from.Remove...)
}

// fieldName is the name of a field in lower case.
func fieldName(text string) string {
	name, _, _ := strings.Cut(text, ":")
	return strings.ToLower(strings.TrimSpace(name))
}

// each calls f with every provider of the route and the path of its keys: the route itself where
// it names none.
func (r *route) each(path string, f func(p *provider, path string)) {
	if len(r.Providers) == 0 {
		f(&r.provider, path)
		return
	}
	for i := range r.Providers {
		f(&r.Providers[i].provider, fmt.Sprintf("%s.providers[%d]", path, i))
	}
}

// shareNames are what the route is called by each of its providers: NAME@PROVIDER, but for the
// first of those that have an order, which is the route itself, so that queued mail stays where it
// is when others join it.
func (r *route) shareNames() []string {
	names := make([]string, len(r.Providers))
	for i := range r.Providers {
		if i > 0 || r.weighted() {
			names[i] = r.Name + "@" + r.Providers[i].label(i)
		} else {
			names[i] = r.Name
		}
	}
	return names
}

// label is the provider's name, or that of its preset, or its number.
func (s *share) label(i int) string {
	switch {
	case s.Name != "":
		return s.Name
	case s.Preset != "":
		return s.Preset
	}
	return fmt.Sprint(i + 1)
}

// weighted says that the providers share the mail rather than stand in for each other.
func (r *route) weighted() bool {
	return slices.ContainsFunc(r.Providers, func(s share) bool { return s.Weight > 0 })
}

// composeProviders gives each provider a route of its own. Those with weights share the mail, those
// without have an order; either way each falls back to all that follow it, and to those before it.
func (r *route) composeProviders() ([]outbound.Route, []policy.Way) {
	names := r.shareNames()
	var routes []outbound.Route
	var ways []policy.Way
	for i := range r.Providers {
		one := r.compose(&r.Providers[i].provider)
		one.Name = names[i]
		one.Fallback = slices.Concat(names[i+1:], names[:i], r.Fallback)
		if !r.weighted() && i > 0 {
			one.Fallback = nil // mail goes there only by the first, which knows all the others
		}
		routes = append(routes, one)
		if r.weighted() {
			ways = append(ways, policy.Way{Name: one.Name, Weight: r.Providers[i].Weight})
		}
	}
	return routes, ways
}

// checkProviders looks at how the providers stand to each other and to their route.
func (r *route) checkProviders(rep *report, path string) {
	names := r.shareNames()
	for i := range r.Providers {
		s, at := &r.Providers[i], fmt.Sprintf("%s.providers[%d]", path, i)
		if s.Weight < 0 {
			rep.fault(at+".weight", "%d is less than 1", s.Weight)
		}
		if k := slices.Index(names, names[i]); k < i {
			rep.fault(at, "is called %q, as providers[%d] is: give it a name", names[i], k)
		}
		if len(s.Hosts) == 0 && s.Preset == "" {
			rep.fault(at, "needs hosts, or a preset")
		}
	}
	switch {
	case len(r.Providers) == 0:
	case r.MX || len(r.Hosts) > 0 || r.Preset != "":
		rep.fault(path+".providers", "stand in place of mx, hosts and preset")
	case len(r.Source) > 1:
		rep.fault(path+".providers", "cannot have several source addresses: give each a route")
	}
}

// checkFallbacks looks at where mail goes while a route fails.
func (f *file) checkFallbacks(rep *report) {
	for i := range f.Routes {
		for k, name := range f.Routes[i].Fallback {
			path := fmt.Sprintf("routes[%d].fallback[%d]", i, k)
			to := slices.IndexFunc(f.Routes, func(r route) bool { return r.Name == name })
			switch {
			case to < 0:
				rep.fault(path, "there is no route %q", name)
			case to == i:
				rep.fault(path, "%q is the route itself", name)
			case f.Routes[to].MX:
				rep.fault(path, "%q delivers by mx: a fallback has hosts", name)
			case f.Routes[to].weighted() || len(f.Routes[to].Source) > 1:
				rep.fault(path, "%q is several, by weight: a fallback is one way", name)
			}
		}
	}
}

// checkHeader looks at the fields that are added and removed.
func (p *provider) checkHeader(rep *report, path string) {
	h := outbound.HeaderProfile(p.Header)
	for _, err := range flatten(h.Validate()) {
		rep.fault(path+".header", "%s", err)
	}
}
