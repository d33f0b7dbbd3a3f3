package main

import (
	"github.com/rs/zerolog"

	"postrider/outbound"
)

// logDiversions logs when the mail of a route is led around it, and when no longer.
func logDiversions(log zerolog.Logger) func(outbound.Diversion) {
	return func(d outbound.Diversion) {
		if d.Until.IsZero() {
			log.Info().Stringer("dest", d.From).Msg("no longer diverted")
			return
		}
		line := log.Warn().Stringer("dest", d.From).Time("until", d.Until)
		reply(line, d.Reply)
		line.Msg("diverted")
	}
}
