package main

import (
	"github.com/rs/zerolog"

	"postrider/relay"
)

// logOrders writes a line for each change that an operator has made.
func logOrders(log zerolog.Logger) func(relay.Entry) {
	return func(e relay.Entry) {
		line := log.Warn().Str("action", e.Action).Str("author", e.Author).Str("reason", e.Reason)
		if e.Destination != "" {
			line.Str("dest", e.Destination)
		}
		if e.Tally != nil {
			line.Int("changed", e.Tally.Changed).Int("matched", e.Tally.Matched).Int("failed", e.Tally.Failed)
		}
		if e.BrokenOff {
			line.Bool("broken_off", true)
		}
		line.Msg("operated")
	}
}
