package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"postrider/integration"
)

// measurement is what one round of a case found, by the name of the figure.
type measurement map[string]float64

// benchCase is one thing to measure.
type benchCase struct {
	name                     string
	sessions, size, messages int
	// dead stops the next hop, so that mail is accepted only.
	dead bool
	// syncs counts fsyncs, with a delay added to each.
	syncs bool
	delay time.Duration
	// latency times the 250 with our own load generator.
	latency bool
	// tls has our load generator send by STARTTLS, which smtp-source cannot.
	tls bool
}

func cases() []benchCase {
	const kib4, mib1 = 4 << 10, 1 << 20
	all := []benchCase{
		{name: "relay 4 KiB, 10 sessions", sessions: 10, size: kib4, messages: 20_000},
		{name: "relay 4 KiB, 100 sessions", sessions: 100, size: kib4, messages: 20_000},
		{name: "relay 1 MiB, 10 sessions", sessions: 10, size: mib1, messages: 600},
		{name: "accept 4 KiB, 10 sessions, next hop dead", sessions: 10, size: kib4, messages: 20_000, dead: true},
		{name: "accept 4 KiB, 100 sessions, next hop dead", sessions: 100, size: kib4, messages: 20_000, dead: true},
		{name: "accept, 250 latency, 10 sessions, next hop dead", sessions: 10, size: kib4, messages: 5_000, dead: true, latency: true},
		{name: "relay, fsyncs counted, 10 sessions", sessions: 10, size: kib4, messages: 2_000, syncs: true},
		{name: "relay, fsyncs counted, 100 sessions", sessions: 100, size: kib4, messages: 5_000, syncs: true},
		{name: "relay, fsyncs of 2 ms, 100 sessions", sessions: 100, size: kib4, messages: 5_000, syncs: true, delay: 2 * time.Millisecond},
		{name: "accept, fsyncs of 2 ms, 100 sessions, next hop dead", sessions: 100, size: kib4, messages: 5_000, dead: true, syncs: true, delay: 2 * time.Millisecond},
	}
	return append(all, acceptCases()...)
}

// acceptCases are accepting alone, in every size, width and dress.
func acceptCases() []benchCase {
	var all []benchCase
	for _, size := range []struct {
		name            string
		bytes, messages int
	}{{"4 KiB", 4 << 10, 10_000}, {"64 KiB", 64 << 10, 4_000}, {"1 MiB", 1 << 20, 600}} {
		for _, sessions := range []int{1, 10, 100} {
			c := benchCase{
				name:     fmt.Sprintf("accept only, %s, %d sessions, in clear", size.name, sessions),
				sessions: sessions, size: size.bytes, messages: size.messages, dead: true,
			}
			if sessions == 1 {
				c.messages /= 4
			}
			encrypted := c
			encrypted.name = fmt.Sprintf("accept only, %s, %d sessions, TLS", size.name, sessions)
			encrypted.tls = true
			all = append(all, c, encrypted)
		}
	}
	return all
}

// caseLimit bounds one measurement.
const caseLimit = 5 * time.Minute

// measure runs a case once on a fresh server.
func (b *bench) measure(ctx context.Context, c benchCase, name string) (m measurement, err error) {
	ctx, cancel := context.WithTimeout(ctx, caseLimit)
	defer cancel()
	sink, err := integration.StartSMTPSink(ctx)
	if err != nil {
		return nil, err
	}
	defer sink.Kill()
	if c.dead {
		sink.Signal(syscall.SIGSTOP)
	}
	// A group is used once: some kernels (6.18) kill whatever
	// is started in one that was killed before.
	b.serial++
	if b.group, err = newCgroup(fmt.Sprintf("postrider-bench-%d-%d", os.Getpid(), b.serial)); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.clear()) }()
	trace := integration.NewSyncTrace(b.dir, c.delay)
	s, err := b.newServer(name, sink.Addr(), c.tls, func(cmd *exec.Cmd) {
		b.group.hold(cmd)
		if c.syncs {
			trace.Wrap(cmd)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	c.messages = max(c.sessions, int(float64(c.messages)*b.o.scale))
	r := &rounder{bench: b, c: c, sink: sink, trace: trace, to: s.Addr()}
	if err := r.warmUp(ctx); err != nil {
		return nil, err
	}
	return r.run(ctx)
}

// clear ends the server and takes its data away. It is ended the hard way: its queue may
// be full and is of no more use.
func (b *bench) clear() error {
	errs := []error{b.group.close()}
	servers, _ := filepath.Glob(filepath.Join(b.disk.Dir, "post*"))
	for _, dir := range servers {
		errs = append(errs, os.RemoveAll(dir))
	}
	syscall.Sync() // what is still to be written is not for the next one to wait for
	return errors.Join(errs...)
}

// rounder runs one round of a case.
type rounder struct {
	bench *bench
	c     benchCase
	sink  *integration.SMTPSink
	trace *integration.SyncTrace
	to    string
}

// source sends so many messages, and ends when the last has its 250.
func (r *rounder) source(ctx context.Context, messages int) error {
	if r.c.tls {
		_, err := r.load(ctx, messages, "--tls")
		return err
	}
	_, err := integration.SMTPSource{To: r.to, Sessions: r.c.sessions, Size: r.c.size, Messages: messages}.Run(ctx)
	return err
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

func (r *rounder) run(ctx context.Context) (measurement, error) {
	if r.c.latency {
		return r.latency(ctx)
	}
	syncs, err := r.trace.Count()
	if err != nil {
		return nil, err
	}
	memory := r.watchMemory(ctx)
	before, err := r.bench.group.cpu()
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
	took := time.Since(start)
	after, err := r.bench.group.cpu()
	if err != nil {
		return nil, err
	}
	n := float64(r.c.messages)
	m := measurement{figureRate: n / took.Seconds()}
	if !r.c.syncs {
		m[figureCPU], m[figureMemory] = float64(after-before)/float64(time.Millisecond)/n, float64(memory())/1e6
		return m, nil
	}
	// What strace uses is no work of the server's.
	memory()
	all, err := r.trace.Count()
	m[figureSyncs] = float64(all-syncs) / n
	return m, err
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

func (r *rounder) latency(ctx context.Context) (measurement, error) {
	report, err := r.load(ctx, r.c.messages)
	return measurement{figureRate: report.Rate, figureP50: report.Latency["p50"], figureP99: report.Latency["p99"]}, err
}

// load sends with our own load generator.
func (r *rounder) load(ctx context.Context, messages int, args ...string) (integration.LoadReport, error) {
	ids := filepath.Join(r.bench.dir, "ids")
	args = append([]string{
		"--messages", strconv.Itoa(messages), "--sessions", strconv.Itoa(r.c.sessions), "--size", strconv.Itoa(r.c.size),
	}, args...)
	load, err := integration.StartLoad(r.bench.binary, r.to, ids, args...)
	if err != nil {
		return integration.LoadReport{}, err
	}
	defer load.Kill()
	report, _, err := load.Report(ctx)
	if err == nil && report.Failed > 0 {
		err = fmt.Errorf("%d messages were not accepted: %v", report.Failed, report.Failures)
	}
	return report, err
}
