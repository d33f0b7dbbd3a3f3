package main

import (
	"postrider/configs"
	"postrider/inbound/verify"
)

// addVerifiers gives the listeners theirs that have one configured. All ask the same DNS.
func addVerifiers(config *configs.Config) error {
	dns := newDNS(config.Outbound.DNS)
	for i := range config.Inbound.Listeners {
		l := &config.Inbound.Listeners[i]
		o, wanted := config.Verify[l.Name]
		if !wanted {
			continue
		}
		o.Resolver = dns
		v, err := verify.New(o)
		if err != nil {
			return err
		}
		l.Verifier = v
	}
	return nil
}
