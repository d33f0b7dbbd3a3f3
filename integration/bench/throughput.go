package main

import (
	"context"
	"time"
)

// throughput sends all messages and waits until they are delivered, and says what it cost.
func (r *rounder) throughput(ctx context.Context) (measurement, error) {
	cost, err := r.startCost(ctx)
	if err != nil {
		return nil, err
	}
	had, start := r.sink.Messages(), time.Now()
	if err := r.source(ctx, r.c.messages); err != nil {
		return nil, err
	}
	if err := r.delivered(ctx, had+r.c.messages); err != nil {
		return nil, err
	}
	m := measurement{figureRate: float64(r.c.messages) / time.Since(start).Seconds()}
	return m, cost.add(m)
}

// cost is what the server uses from a moment on.
type cost struct {
	r       *rounder
	cpu     time.Duration
	written int64
	syncs   int
	memory  func() int64
}

func (r *rounder) startCost(ctx context.Context) (c cost, err error) {
	c.r = r
	if c.written, err = r.bench.disk.Written(); err != nil {
		return c, err
	}
	if c.syncs, err = r.trace.Count(); err != nil {
		return c, err
	}
	if c.cpu, err = r.bench.group.cpu(); err != nil {
		return c, err
	}
	c.memory = r.watchMemory(ctx)
	return c, nil
}

// add ends the watch. What strace uses is no work of the server's.
func (c cost) add(m measurement) error {
	n, memory := float64(c.r.c.messages), c.memory()
	if c.r.c.syncs {
		syncs, err := c.r.trace.Count()
		m[figureSyncs] = float64(syncs-c.syncs) / n
		return err
	}
	cpu, err := c.r.bench.group.cpu()
	if err != nil {
		return err
	}
	written, err := c.r.bench.disk.Written()
	m[figureCPU] = float64(cpu-c.cpu) / float64(time.Millisecond) / n
	m[figureWritten] = float64(written-c.written) / n / float64(c.r.c.size)
	m[figureMemory] = float64(memory) / 1e6
	return err
}

// watchMemory samples the server's memory until the function that is returned is called,
// which gives the most that was seen.
func (r *rounder) watchMemory(ctx context.Context) func() int64 {
	ctx, cancel := context.WithCancel(ctx)
	most := make(chan int64)
	go func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		peak := r.bench.group.pss()
		for {
			select {
			case <-tick.C:
				peak = max(peak, r.bench.group.pss())
			case <-ctx.Done():
				most <- max(peak, r.bench.group.pss())
				return
			}
		}
	}()
	return func() int64 { cancel(); return <-most }
}
