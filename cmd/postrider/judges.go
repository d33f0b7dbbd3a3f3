package main

import (
	"postrider/configs"
	"postrider/inbound/milter"
	"postrider/relay"
)

// addJudges gives the listeners the milters that are configured for them.
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
	}
	return nil
}
