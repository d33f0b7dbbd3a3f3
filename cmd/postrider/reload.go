package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"postrider/configs"
	"postrider/relay"
	"postrider/relay/admin"
)

// reloading is what has been reloaded, and how far the mail has come that goes elsewhere since.
type reloading struct {
	// load reads the configuration as at the start.
	load func() (*configs.Config, error)
	// again asks for a look at all that is queued.
	again chan struct{}
	// rerouted is how far that is; nil before the first.
	rerouted atomic.Pointer[relay.Rerouting]

	// mu is held by the one who reloads.
	mu sync.Mutex
	// last is how the latest reload ended; nil before the first.
	last *admin.Reload
	// config is the one in force.
	config *configs.Config
}

// reload takes the configuration up as it is now, the whole of it or nothing, and says what has
// changed, or all that is wrong with it. Sessions, connections, windows, rates and timers go on.
func (d *relayd) reload() (admin.Reload, error) {
	r := &d.reloading
	r.mu.Lock()
	defer r.mu.Unlock()
	done := admin.Reload{At: time.Now()}
	changed, err := d.takeUp()
	if err != nil {
		done.Error = err.Error()
		d.log.Error().Str("faults", done.Error).Msg("not reloaded: the configuration of before stays in force")
	} else {
		done.Changed = changed
		d.log.Info().Strs("changed", changed).Msg("reloaded")
		select {
		case r.again <- struct{}{}:
		default:
		}
	}
	r.last = &done
	return done, err
}

// takeUp does what can fail first. The reloading's mu is held.
func (d *relayd) takeUp() (changed []string, err error) {
	r := &d.reloading
	next, err := r.load()
	if err != nil {
		return nil, err
	}
	if changed, err = r.config.Changes(next); err != nil {
		return nil, err
	}
	level, err := zerolog.ParseLevel(next.Log.Level)
	if err != nil {
		return nil, err
	}
	next.Outbound.TLSReports = r.config.Outbound.TLSReports
	t, err := d.terms(next)
	if err != nil {
		return nil, err
	}
	change, err := d.inbound.Prepare(next.Inbound)
	if err != nil {
		return nil, err
	}
	d.level.set(level)
	d.breakers.store(t.breakers)
	change.Commit(func() { d.receiver.Reload(t.receiver()) })
	d.suppressions.Reload(next.Suppression)
	d.scheduler.Reload(t.scheduler())
	d.transports.current.Load().Yield(t.transport)
	d.transports.swap(t.transport)
	d.shown.Store(&next.Shown)
	r.config = next
	return changed, nil
}

// Reload does it for an operator.
func (d *relayd) Reload() (admin.Reload, error) {
	done, err := d.reload()
	return d.withRerouting(done), err
}

// Reloaded says how the latest reload ended, and how far its consequences have come; false where
// there was none.
func (d *relayd) Reloaded() (admin.Reload, bool) {
	d.reloading.mu.Lock()
	last := d.reloading.last
	d.reloading.mu.Unlock()
	if last == nil {
		return admin.Reload{}, false
	}
	return d.withRerouting(*last), true
}

func (d *relayd) withRerouting(r admin.Reload) admin.Reload {
	if p := d.reloading.rerouted.Load(); p != nil {
		r.Rerouting = &admin.Rerouting{Began: p.Began, Ended: p.Ended, Seen: p.Seen, Moved: p.Moved, Busy: p.Busy}
	}
	return r
}

// rerouteLog is how often the log says how far a look at all that is queued is.
const rerouteLog = 10 * time.Second

// reroute moves what is queued to where it is routed now, after each reload, until ctx ends. A
// look at the queue ends early when the next one is wanted.
func (d *relayd) reroute(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.reloading.again:
		}
		if err := d.rerouteOnce(ctx); err != nil && ctx.Err() == nil {
			d.observer.Faulted(relay.Fault{Doing: "move queued mail to its new routes", Err: err})
		}
	}
}

func (d *relayd) rerouteOnce(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	told := time.Now()
	got, err := d.scheduler.Reroute(ctx, func(r relay.Rerouting) {
		d.reloading.rerouted.Store(&r)
		if len(d.reloading.again) > 0 {
			stop()
		}
		if now := time.Now(); now.Sub(told) >= rerouteLog {
			told = now
			d.log.Info().Int("seen", r.Seen).Int("moved", r.Moved).Msg("rerouting")
		}
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	d.log.Info().Int("seen", got.Seen).Int("moved", got.Moved).Int("busy", got.Busy).Msg("rerouted")
	return err
}
