package main

import (
	"postrider/configs"
	"postrider/inbound"
	"postrider/inbound/delegation"
	"postrider/inbound/hook"
	"postrider/inbound/milter"
	"postrider/relay"
)

// addJudges gives the listeners the milters, policy services and hooks that are configured for them, in
// this order, and each service that is asked, that of users too, what leaves it alone when it is down.
func addJudges(config *configs.Config, b *breakersOf, fault func(relay.Fault)) error {
	for i := range config.Inbound.Listeners {
		l := &config.Inbound.Listeners[i]
		for _, o := range config.Milters[l.Name] {
			o.Fault, o.Breaker = fault, b.of("milter "+o.Name, o.Address)
			f, err := milter.New(o)
			if err != nil {
				return err
			}
			l.Judges = append(l.Judges, f)
		}
		if err := addPolicyServices(l, config.PolicyServices[l.Name], b, fault); err != nil {
			return err
		}
		for _, o := range config.Hooks[l.Name] {
			o.Fault, o.Breaker = fault, b.of("hook "+o.Name, o.URL)
			h, err := hook.New(o)
			if err != nil {
				return err
			}
			l.Judges = append(l.Judges, h)
		}
	}
	if http := config.Inbound.Users.HTTP; http != nil {
		http.Breaker = b.of("users", http.URL)
	}
	return nil
}

func addPolicyServices(l *inbound.Listener, services []configs.PolicyService, b *breakersOf, fault func(relay.Fault)) error {
	for _, o := range services {
		o.Fault, o.Breaker = fault, b.of("policy service "+o.Name, o.Address)
		s, err := delegation.New(o.Options)
		if err != nil {
			return err
		}
		if o.Data {
			l.Judges = append(l.Judges, s)
		} else {
			l.RecipientJudges = append(l.RecipientJudges, s)
		}
	}
	return nil
}
