package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"postrider/integration"
)

// caseLimit bounds one measurement.
const caseLimit = 15 * time.Minute

// measure runs a case once on a fresh server.
func (b *bench) measure(ctx context.Context, c benchCase, name string) (m measurement, err error) {
	ctx, cancel := context.WithTimeout(ctx, caseLimit)
	defer cancel()
	c.messages = max(c.sessions, int(float64(c.messages)*b.o.scale))
	// A group is used once: some kernels (6.18) kill whatever
	// is started in one that was killed before.
	b.serial++
	if b.group, err = newCgroup(fmt.Sprintf("postrider-bench-%d-%d", os.Getpid(), b.serial)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.clear()) }()
	r := &rounder{bench: b, c: c, name: name, trace: integration.NewSyncTrace(b.dir, c.delay)}
	defer r.close()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	if c.measure != nil {
		return c.measure(r, ctx)
	}
	return r.throughput(ctx)
}

// clear ends the server and takes its data away. It is ended the hard way: its queue may
// be full and is of no more use.
func (b *bench) clear() error {
	errs := []error{b.group.close()}
	for _, name := range serverNames() {
		servers, _ := filepath.Glob(filepath.Join(b.disk.Dir, name+"-*"))
		for _, dir := range servers {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	syscall.Sync() // what is still to be written is not for the next one to wait for
	return errors.Join(errs...)
}

// rounder runs one round of a case: a server, its next hops, and the load.
type rounder struct {
	bench  *bench
	c      benchCase
	name   string
	trace  *integration.SyncTrace
	server server
	sink   *integration.SMTPSink
	ends   []func()
}

// prepare starts the next hop and the server, and lets it start what it starts on demand.
func (r *rounder) prepare(ctx context.Context) (err error) {
	if r.sink, err = integration.StartSMTPSink(ctx); err != nil {
		return err
	}
	r.ends = append(r.ends, func() { r.sink.Kill() })
	next := r.sink.Addr()
	if r.c.trip > 0 {
		far, err := integration.NewDelay(next, r.c.trip)
		if err != nil {
			return err
		}
		next = far.Addr()
	}
	if r.c.dead {
		r.sink.Signal(syscall.SIGSTOP)
	}
	s := setting{next: next, tls: r.c.tls, queued: r.c.dead || r.c.queued, connections: r.c.connections, prepare: func(cmd *exec.Cmd) {
		r.bench.group.hold(cmd)
		if r.c.syncs {
			r.trace.Wrap(cmd)
		}
	}}
	if r.c.sick {
		if s.other, err = r.sickHops(ctx); err != nil {
			return err
		}
	}
	if r.server, err = r.bench.newServer(r.name, s); err != nil {
		return err
	}
	if err := r.server.Start(ctx); err != nil {
		return err
	}
	return r.warmUp(ctx)
}

// close ends the next hops. The server is ended with its group.
func (r *rounder) close() {
	for _, end := range r.ends {
		end()
	}
}

// warmUp lets the server start what it starts on demand.
func (r *rounder) warmUp(ctx context.Context) error {
	n := max(r.c.sessions, min(200, r.c.messages/10))
	before := r.sink.Messages()
	if err := r.source(ctx, n); err != nil {
		return err
	}
	return r.delivered(ctx, before+n)
}

// delivered waits until the next hop has n messages, unless it is dead.
func (r *rounder) delivered(ctx context.Context, n int) error {
	if r.c.dead {
		return nil
	}
	return r.sink.Await(ctx, n)
}
