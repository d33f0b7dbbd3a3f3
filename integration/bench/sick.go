package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"postrider/integration"
)

// sickEach is how many destinations there are of each kind, and sickQueue how many messages
// wait for each.
const (
	sickEach  = 5
	sickQueue = 200
)

// sickHops gives domains whose next hops take connections and never say a word, and others
// whose next hops are not there.
func (r *rounder) sickHops(ctx context.Context) (map[string]string, error) {
	hops := make(map[string]string)
	for i := range sickEach {
		silent, err := integration.StartSMTPSink(ctx)
		if err != nil {
			return nil, err
		}
		silent.Signal(syscall.SIGSTOP)
		r.ends = append(r.ends, silent.Kill)
		hops[fmt.Sprintf("silent%d.example", i)] = silent.Addr()
		port, err := integration.FreePort()
		if err != nil {
			return nil, err
		}
		hops[fmt.Sprintf("dead%d.example", i)] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	return hops, nil
}

// besideSick measures a healthy destination alone, and again while mail waits for sick ones.
func (r *rounder) besideSick(ctx context.Context) (measurement, error) {
	alone, err := r.healthy(ctx)
	if err != nil {
		return nil, err
	}
	for i := range sickEach {
		for _, kind := range []string{"silent", "dead"} {
			if _, err := r.to(fmt.Sprintf("sink@%s%d.example", kind, i), sickQueue).Run(ctx); err != nil {
				return nil, err
			}
		}
	}
	beside, err := r.healthy(ctx)
	return measurement{figureAlone: alone, figureRate: beside, figureKept: 100 * beside / alone}, err
}

// healthy sends and delivers the case's messages and gives how many a second those were.
func (r *rounder) healthy(ctx context.Context) (float64, error) {
	had, start := r.sink.Messages(), time.Now()
	if err := r.source(ctx, r.c.messages); err != nil {
		return 0, err
	}
	err := r.sink.Await(ctx, had+r.c.messages)
	return float64(r.c.messages) / time.Since(start).Seconds(), err
}
