package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"postrider/integration"
)

// source sends so many messages, and ends when the last has its 250.
func (r *rounder) source(ctx context.Context, messages int) error {
	if r.c.tls {
		_, err := r.load(ctx, messages, "--tls")
		return err
	}
	_, err := r.to("", messages).Run(ctx)
	return err
}

// to is the load for a recipient, "" for one of the healthy next hop.
func (r *rounder) to(recipient string, messages int) integration.SMTPSource {
	return integration.SMTPSource{
		To: r.server.Addr(), Recipient: recipient, Sessions: min(r.c.sessions, messages), Size: r.c.size, Messages: messages,
	}
}

// load sends with our own load generator, which times each 250 and speaks TLS.
func (r *rounder) load(ctx context.Context, messages int, args ...string) (integration.LoadReport, error) {
	ids := filepath.Join(r.bench.dir, "ids")
	args = append([]string{
		"--messages", strconv.Itoa(messages), "--sessions", strconv.Itoa(r.c.sessions), "--size", strconv.Itoa(r.c.size),
	}, args...)
	load, err := integration.StartLoad(r.bench.binary, r.server.Addr(), ids, args...)
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

// latency times each 250.
func (r *rounder) latency(ctx context.Context) (measurement, error) {
	report, err := r.load(ctx, r.c.messages)
	return measurement{
		figureRate: report.Rate, figureP50: report.Latency["p50"], figureP99: report.Latency["p99"], figureP999: report.Latency["p99.9"],
	}, err
}
