package configs

import (
	"fmt"

	"postrider/outbound"
)

// applyPresets fills in what routes leave open and their presets know.
func (f *file) applyPresets(r *report) {
	for i := range f.Routes {
		route, path := &f.Routes[i], fmt.Sprintf("routes[%d]", i)
		if route.Preset == "" {
			continue
		}
		p, ok := outbound.PresetOf(route.Preset)
		switch {
		case !ok:
			oneOf(r, path+".preset", route.Preset, outbound.PresetNames()...)
		case route.MX:
			r.fault(path, "has both mx and a preset, which is for the hosts of a provider")
		case len(route.Hosts) == 0 && len(p.Hosts) == 0:
			r.cannotRead(path+".preset", "%s has hosts of its own for each region: add hosts: [%q]", p.Name, p.Region)
		}
		if ok {
			route.apply(p)
		}
	}
}

// apply fills in what the route leaves open.
func (r *route) apply(p outbound.Preset) {
	if len(r.Hosts) == 0 && !r.MX {
		r.Hosts = p.Hosts
	}
	if r.TLS == nil {
		r.TLS = &p.TLS
	}
	setDefault(&r.Connections, p.Connections)
	setDefault(&r.MessagesPerConnection, p.MessagesPerConnection)
	if r.Auth != (credentials{}) {
		setDefault(&r.Auth.User, p.User)
		setDefault(&r.Auth.Mechanism, p.Mechanism)
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
