package main

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

// watchdog tells the service manager that the relay moves, as long as it does (WatchdogSec=
// of the unit). When it does not any more nothing is said, and the manager ends the process, whose last
// words are then the stacks of all goroutines, and starts it again.
type watchdog struct {
	// within is how long the manager waits for a word.
	within time.Duration
	// alive returns nil when the relay has proved that it moves.
	alive func(context.Context) error
	tell  func(state string)
	log   zerolog.Logger
}

// newWatchdog gives nil where nobody waits for a word.
func newWatchdog(log zerolog.Logger, alive func(context.Context) error) (*watchdog, error) {
	within, err := daemon.SdWatchdogEnabled(true)
	if err != nil || within <= 0 {
		return nil, err
	}
	return &watchdog{within: within, alive: alive, log: log, tell: func(state string) { notify(log, state) }}, nil
}

// run proves and tells four times in the time that there is, and lets a proof take half of it.
func (w *watchdog) run(ctx context.Context) error {
	ticker := time.NewTicker(w.within / 4)
	defer ticker.Stop()
	for {
		w.prove(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (w *watchdog) prove(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, w.within/2)
	defer cancel()
	err := w.alive(bounded)
	switch {
	case err == nil:
		w.tell(daemon.SdNotifyWatchdog)
	case ctx.Err() == nil:
		w.log.Error().Err(err).Msg("the relay does not move; the watchdog is not told otherwise")
	}
}
