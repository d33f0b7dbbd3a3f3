package main

import (
	"postrider/configs"
	"postrider/inbound"
	"postrider/inbound/delegation"
	"postrider/inbound/hook"
	"postrider/inbound/milter"
	"postrider/relay"
)

// addJudges gives the listeners the milters, policy services and hooks that are configured for them, in this order.
func addJudges(config *configs.Config, fault func(relay.Fault)) error {
	for i := range config.Inbound.Listeners {
		l := &config.Inbound.Listeners[i]
		for _, o := range config.Milters[l.Name] {
			o.Fault = fault
			f, err := milter.New(o)
			if err != nil {
				return err
			}
			l.Judges = append(l.Judges, f)
		}
		if err := addPolicyServices(l, config.PolicyServices[l.Name], fault); err != nil {
			return err
		}
		for _, o := range config.Hooks[l.Name] {
			o.Fault = fault
			h, err := hook.New(o)
			if err != nil {
				return err
			}
			l.Judges = append(l.Judges, h)
		}
	}
	return nil
}

func addPolicyServices(l *inbound.Listener, services []configs.PolicyService, fault func(relay.Fault)) error {
	for _, o := range services {
		o.Fault = fault
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
