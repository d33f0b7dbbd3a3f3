package main

import (
	"context"
	"io"
	"time"

	"postrider/configs"
	"postrider/outbound/tlsrpt"
	"postrider/relay"
)

// openTLSReports lets the way out count sessions, where reports are configured.
func openTLSReports(config *configs.Config) error {
	if config.TLSReports.Dir == "" {
		return nil
	}
	ledger, err := tlsrpt.NewLedger(config.TLSReports.Dir, time.Now)
	if err != nil {
		return err
	}
	config.Outbound.TLSReports, config.TLSReports.Reporter.Ledger = ledger, ledger
	return nil
}

// newReporter makes what sends the reports; nil where none are configured.
func newReporter(c configs.TLSReports, lookup func(context.Context, string) ([]string, error), r *relay.Receiver, fault func(relay.Fault)) (*tlsrpt.Reporter, error) {
	if c.Dir == "" {
		return nil, nil
	}
	o := c.Reporter
	o.Lookup, o.Fault, o.Now = lookup, fault, time.Now
	o.Post = func(ctx context.Context, e relay.Envelope, content io.Reader) error {
		_, err := r.Post(ctx, e, content)
		return err
	}
	return tlsrpt.NewReporter(o)
}
