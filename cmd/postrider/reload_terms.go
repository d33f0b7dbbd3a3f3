package main

import (
	"errors"

	"postrider/configs"
	"postrider/outbound"
	"postrider/policy"
	"postrider/relay"
)

// terms are what a configuration comes to that can change while the relay runs.
type terms struct {
	config    *configs.Config
	rules     *policy.Policy
	signers   []relay.Signer
	transport *outbound.Transport
	breakers  *breakersOf
}

// terms makes them, with every fault at once. They know what those in force have learned and
// counted, if there are any.
func (d *relayd) terms(config *configs.Config) (*terms, error) {
	t := &terms{config: config, breakers: d.breakers.next()}
	config.Outbound.Transcripts = d.transcripts
	p := &config.Policy
	p.Meters, p.Fault, p.Queue = d.meters, d.observer.Faulted, func(to relay.Destination) relay.BinStatus {
		st, _ := d.scheduler.StatusOf(to)
		return st
	}
	config.Outbound.Diverted = logDiversions(d.log)
	var faults [5]error
	t.rules, faults[0] = policy.New(*p)
	t.signers, faults[1] = signers(config.DKIM, d.observer)
	if former := d.transports.current.Load(); former != nil {
		t.transport, faults[2] = former.Next(config.Outbound)
	} else {
		t.transport, faults[2] = outbound.New(config.Outbound)
	}
	faults[3] = addVerifiers(config)
	faults[4] = addJudges(config, t.breakers, d.observer.Faulted)
	return t, errors.Join(faults[:]...)
}

// scheduler is the way out's part.
func (t *terms) scheduler() relay.SchedulerOptions {
	o := t.config.Scheduler
	o.Transport, o.Policy, o.Signers = t.transport, t.rules, t.signers
	return o
}

// receiver is the way in's part.
func (t *terms) receiver() relay.ReceiverOptions {
	o := t.config.Receiver
	o.Policy, o.Signers = t.rules, t.signers
	return o
}
