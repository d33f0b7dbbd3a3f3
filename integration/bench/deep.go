package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stalled is how long nothing has to come before a drain counts as ended. Exim waits a minute before it tries again.
const stalled = 75 * time.Second

// deepQueue fills the queue for a next hop that is dead, restarts the server, brings the next
// hop back at the same time, and sees what comes by itself.
func (r *rounder) deepQueue(ctx context.Context) (measurement, error) {
	r.sink.Kill()
	before, err := diskUse(ctx, r.bench.serverDir(r.name))
	if err != nil {
		return nil, err
	}
	if err := r.source(ctx, r.c.messages); err != nil {
		return nil, err
	}
	m := measurement{figureMemory: float64(r.bench.group.pss()) / 1e6}
	after, err := diskUse(ctx, r.bench.serverDir(r.name))
	if err != nil {
		return nil, err
	}
	m[figureDisk] = float64(after-before) / float64(r.c.messages)
	if err := r.stop(); err != nil {
		return nil, fmt.Errorf("stop with a deep queue: %w", err)
	}
	return m, r.drain(ctx, m)
}

// childGrace is how long what a server leaves behind at its end may go on. Exim's deliveries
// do not end with it.
const childGrace = 3 * time.Second

// stop stops the server, and what is left of it.
func (r *rounder) stop() error {
	left := time.AfterFunc(childGrace, func() {
		pids, _ := r.bench.group.pids()
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGTERM)
		}
	})
	defer left.Stop()
	_, err := r.server.Stop()
	return err
}

// drain starts the next hop and then the server again.
func (r *rounder) drain(ctx context.Context, m measurement) error {
	if err := r.sink.Reopen(ctx); err != nil {
		return err
	}
	start := time.Now()
	if err := r.server.Start(ctx); err != nil {
		return err
	}
	m[figureServing] = time.Since(start).Seconds()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last, latest := 0, start
	for last < r.c.messages && time.Since(latest) < stalled {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if n := r.sink.Messages(); n > last {
			if last == 0 {
				m[figureFirst] = time.Since(start).Seconds()
			}
			last, latest = n, time.Now()
		}
	}
	m[figureDrained] = 100 * float64(last) / float64(r.c.messages)
	if last == 0 {
		return nil
	}
	m[figureDrain] = float64(last) / latest.Sub(start).Seconds()
	return nil
}

// diskUse is how many bytes of the disk a folder takes. Files that go while they are looked at
// are no error.
func diskUse(ctx context.Context, dir string) (int64, error) {
	out, err := exec.CommandContext(ctx, "du", "-s", "--block-size=1", dir).Output()
	text, _, found := strings.Cut(string(out), "\t")
	if !found {
		return 0, fmt.Errorf("du %s: %w", dir, err)
	}
	return strconv.ParseInt(text, 10, 64)
}
