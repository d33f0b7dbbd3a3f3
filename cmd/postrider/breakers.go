package main

import (
	"sync/atomic"

	"github.com/rs/zerolog"

	"postrider/relay"
)

// breakers are those of the services outside that are asked about mail and users. A reload keeps those
// of services that are asked before and after it.
type breakers struct {
	log     zerolog.Logger
	current atomic.Pointer[map[string]*relay.Breaker]
}

// breakersOf are those of one configuration.
type breakersOf struct {
	log         zerolog.Logger
	former, all map[string]*relay.Breaker
}

// next makes those of a configuration, which are in force once they are stored.
func (b *breakers) next() *breakersOf {
	next := &breakersOf{log: b.log, all: make(map[string]*relay.Breaker)}
	if former := b.current.Load(); former != nil {
		next.former = *former
	}
	return next
}

func (b *breakers) store(next *breakersOf) { b.current.Store(&next.all) }

// of is the one of a service. Listeners that ask the same one share it.
func (b *breakersOf) of(name, address string) *relay.Breaker {
	key := name + " " + address
	if b.all[key] == nil {
		b.all[key] = b.former[key]
	}
	if b.all[key] == nil {
		b.all[key] = relay.NewBreaker(relay.BreakerOptions{Name: name, Changed: b.changed})
	}
	return b.all[key]
}

// changed logs that a service is left alone, or no longer.
func (b *breakersOf) changed(name string, cause error) {
	if cause == nil {
		b.log.Info().Str("service", name).Msg("answers again")
		return
	}
	b.log.Warn().Str("service", name).AnErr("cause", cause).Msg("left alone")
}

// Figures are for metrics. Services of one name at several addresses are one series, left alone
// when one of them is.
func (b *breakers) Figures() []relay.Figure {
	var all []relay.Figure
	at := make(map[[2]string]int)
	for _, one := range *b.current.Load() {
		for _, f := range one.Figures() {
			key := [2]string{f.Name, f.Labels[1]}
			i, ok := at[key]
			switch {
			case !ok:
				at[key] = len(all)
				all = append(all, f)
			case f.Grows:
				all[i].Value += f.Value
			default:
				all[i].Value = max(all[i].Value, f.Value)
			}
		}
	}
	return all
}
