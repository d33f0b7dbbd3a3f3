package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"postrider/relay"
)

// Policy is a relay.Policy made from Options. It never changes; a reload makes a new one.
type Policy struct {
	hostname string
	relay    map[string][]netip.Prefix
	routes   []route
	rules    [stages][]rule
	runs     sync.Pool
}

// New compiles the options. The error joins a FieldError for every fault.
func New(o Options) (*Policy, error) {
	routes, routeFaults := compileRoutes(o.Routes)
	rules, ruleFaults := compileRules(o.Rules)
	if err := errors.Join(o.check(), routeFaults, ruleFaults); err != nil {
		return nil, err
	}
	p := &Policy{hostname: o.Hostname, relay: o.Relay, routes: routes, rules: rules}
	p.runs.New = func() any { return new(run) }
	return p, nil
}

// Connect asks the rules at connect.
func (p *Policy) Connect(_ context.Context, o *relay.Origin) relay.Ruling {
	return relay.Refusal(p.ask(connect, func(f *facts) { f.setSession(o) }))
}

// Mail asks the rules at mail.
func (p *Policy) Mail(_ context.Context, m *relay.Message) relay.Ruling {
	return relay.Refusal(p.ask(mail, func(f *facts) {
		f.setSession(&m.Origin)
		f.Sender.set(senderAddress(m.Envelope.Sender))
	}))
}

// Rcpt decides about relaying first, then asks the rules at rcpt.
func (p *Policy) Rcpt(_ context.Context, m *relay.Message, r relay.Recipient) relay.Ruling {
	if !p.mayRelay(&m.Origin) {
		return relay.Refusal(relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, fmt.Sprintf("<%s>: Relay access denied", r.Address)).For(relay.ReasonAccess))
	}
	return relay.Refusal(p.ask(rcpt, func(f *facts) {
		f.setSession(&m.Origin)
		f.Sender.set(senderAddress(m.Envelope.Sender))
		f.Recipient.set(recipientAddress(r.Address, p.hostname))
	}))
}

// Data asks the rules at data.
func (p *Policy) Data(_ context.Context, m *relay.Message) relay.Ruling {
	return relay.Refusal(p.ask(data, func(f *facts) {
		f.setSession(&m.Origin)
		f.Sender.set(senderAddress(m.Envelope.Sender))
		f.setMessage(m, p.hostname)
	}))
}

// mayRelay fails closed: what is neither authenticated nor listed may not (conformance I22).
func (p *Policy) mayRelay(o *relay.Origin) bool {
	if o.User != "" {
		return true
	}
	allowed := p.relay[o.Listener]
	if !o.Client.IsValid() {
		return contains(allowed, clientAddr(o)) || contains(allowed, netip.IPv6Loopback())
	}
	return contains(allowed, clientAddr(o))
}

// ask lets the first rule that matches decide; where none does, the answer is yes.
func (p *Policy) ask(at stage, fill func(*facts)) *relay.Reply {
	q := question{policy: p, fill: fill}
	defer q.done()
	for i := range p.rules[at] {
		rule := &p.rules[at][i]
		matches, err := q.matches(rule.when)
		if err != nil {
			return relay.LocalError(fmt.Errorf("rule %s: %w", rule.name, err))
		}
		if matches {
			return rule.answer()
		}
	}
	return nil
}
