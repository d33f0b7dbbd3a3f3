package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"postrider/relay"
)

// Policy is a relay.Policy made from Options. It never changes; a reload makes a new one.
type Policy struct {
	hostname string
	relay    map[string][]netip.Prefix
	routes   []route
	rules    [stages][]rule
	// unmet are the verdicts of the rules as if none matched.
	unmet     [stages][]relay.Verdict
	staging   *staging
	meters    *Meters
	clients   clients
	dir       string
	lists     map[string]*list
	queue     func(relay.Destination) relay.BinStatus
	fault     func(relay.Fault)
	now       func() time.Time
	unmatched int
	pool      sync.Pool
}

// defaultUnmatched is the default of Options.Unmatched.
const defaultUnmatched = 50

// New compiles the options. The error joins a FieldError for every fault.
func New(o Options) (*Policy, error) {
	p := &Policy{
		hostname: o.Hostname, relay: o.Relay, dir: o.Dir, lists: make(map[string]*list),
		meters: o.Meters, queue: o.Queue, fault: o.Fault, now: o.Now, unmatched: cmp.Or(o.Unmatched, defaultUnmatched),
	}
	p.setDefaults()
	p.clients = clients{resolver: o.Resolver, now: p.now, known: make(map[netip.Addr]clientName)}
	if p.clients.resolver == nil {
		p.clients.resolver = net.DefaultResolver
	}
	var err error
	faults := []error{o.check()}
	p.routes, err = p.compileRoutes(o.Routes)
	faults = append(faults, err)
	p.rules, err = p.compileRules(o.Rules)
	for at, rules := range p.rules {
		for i := range rules {
			p.unmet[at] = append(p.unmet[at], relay.Verdict{Rule: rules[i].name, Stage: stage(at).String()})
		}
	}
	faults = append(faults, err)
	p.staging, err = compileStaging(o.Staging)
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	if err := o.checkReach(); err != nil {
		return nil, err
	}
	p.pool.New = func() any { return new(facts) }
	return p, nil
}

func (p *Policy) setDefaults() {
	if p.meters == nil {
		p.meters = NewMeters()
	}
	if p.queue == nil {
		p.queue = func(to relay.Destination) relay.BinStatus { return relay.BinStatus{To: to} }
	}
	if p.fault == nil {
		p.fault = func(relay.Fault) {}
	}
	if p.now == nil {
		p.now = time.Now
	}
}

// Connect asks the rules at connect.
func (p *Policy) Connect(ctx context.Context, o *relay.Origin) relay.Ruling {
	if len(p.rules[connect]) == 0 {
		return relay.Ruling{}
	}
	f := p.facts(ctx, o, nil)
	defer f.done()
	return p.ask(ctx, connect, f)
}

// Mail asks the rules at mail.
func (p *Policy) Mail(ctx context.Context, m *relay.Message) relay.Ruling {
	if len(p.rules[mail]) == 0 {
		return relay.Ruling{}
	}
	f := p.facts(ctx, &m.Origin, m)
	defer f.done()
	return p.ask(ctx, mail, f)
}

// Rcpt decides about relaying first, then asks the rules at rcpt.
func (p *Policy) Rcpt(ctx context.Context, m *relay.Message, r relay.Recipient) relay.Ruling {
	if !p.mayRelay(&m.Origin) {
		return relay.Refusal(relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, fmt.Sprintf("<%s>: Relay access denied", r.Address)).For(relay.ReasonAccess))
	}
	if len(p.rules[rcpt]) == 0 {
		return relay.Ruling{}
	}
	f := p.facts(ctx, &m.Origin, m)
	defer f.done()
	f.recipient = recipientAddress(r.Address, p.hostname).compared()
	f.asked = []relay.Recipient{r}
	return p.ask(ctx, rcpt, f)
}

// Data asks the rules at data. Staging has the last word.
func (p *Policy) Data(ctx context.Context, m *relay.Message) relay.Ruling {
	var ruling relay.Ruling
	if len(p.rules[data]) > 0 {
		f := p.facts(ctx, &m.Origin, m)
		defer f.done()
		f.asked = m.Envelope.Recipients
		ruling = p.ask(ctx, data, f)
	}
	if p.staging != nil && ruling.Reply == nil {
		p.staging.divert(m, &ruling)
	}
	return ruling
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
