package configs

import (
	"fmt"

	"postrider/outbound"
)

// applyPresets fills in what routes and their providers leave open and their presets know.
func (f *file) applyPresets(r *report) {
	for i := range f.Routes {
		route, path := &f.Routes[i], fmt.Sprintf("routes[%d]", i)
		for k := range route.Providers {
			route.Providers[k].inherit(&route.provider)
		}
		if route.MX && route.Preset != "" {
			r.fault(path, "has both mx and a preset, which is for the hosts of a provider")
			continue
		}
		route.each(path, func(p *provider, path string) { p.applyPreset(r, path) })
	}
}

// applyPreset fills in what the provider leaves open.
func (p *provider) applyPreset(r *report, path string) {
	if p.Preset == "" {
		return
	}
	known, ok := outbound.PresetOf(p.Preset)
	switch {
	case !ok:
		oneOf(r, path+".preset", p.Preset, outbound.PresetNames()...)
		return
	case len(p.Hosts) == 0 && len(known.Hosts) == 0:
		r.cannotRead(path+".preset", "%s has hosts of its own for each region: add hosts: [%q]", known.Name, known.Region)
	case len(p.Hosts) == 0:
		p.Hosts = known.Hosts
	}
	if p.TLS == nil {
		p.TLS = &known.TLS
	}
	if p.Rates == nil {
		p.Rates = known.Rates
	}
	setDefault(&p.Connections, known.Connections)
	setDefault(&p.MessagesPerConnection, known.MessagesPerConnection)
	p.Header.inherit((*profile)(&known.Header))
	if p.Auth != (credentials{}) {
		setDefault(&p.Auth.User, known.User)
		setDefault(&p.Auth.Mechanism, known.Mechanism)
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
