package delegation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"postrider/relay"
)

// The defaults of Options.
const (
	DefaultTimeout     = 10 * time.Second
	DefaultConnections = 20
)

// Options name a policy service.
type Options struct {
	// Name is for logs and traces.
	Name string
	// Address is "host:port" or "unix:/path"; "inet:" in front is as in Postfix.
	Address string
	// Timeout bounds one question, from the wait for a connection to the answer. Default 10 seconds.
	Timeout time.Duration
	// Connections is how many questions are asked at once; others wait, within Timeout. Default 20.
	Connections int
	// Accept lets mail pass that the service cannot be asked about. Otherwise it is refused for now.
	Accept bool
	// Fault is told of failures, and of answers that are not heeded.
	Fault func(relay.Fault)
	// Breaker has the service left alone when it does not answer; nil never does.
	Breaker *relay.Breaker
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Service is a relay.RecipientJudge, and a relay.Judge at the end of the data: it is asked where it
// is put.
type Service struct {
	o    Options
	pool *pool
}

var (
	_ relay.RecipientJudge = (*Service)(nil)
	_ relay.Judge          = (*Service)(nil)
)

// New fills in the defaults. It does not connect.
func New(o Options) (*Service, error) {
	network, address := split(o.Address)
	if _, _, err := net.SplitHostPort(address); network == "tcp" && err != nil || address == "" {
		return nil, fmt.Errorf("policy service %s: %q is not an address such as 127.0.0.1:10023 or unix:/run/postgrey/socket", o.Name, o.Address)
	}
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.Connections = cmp.Or(o.Connections, DefaultConnections)
	if o.Timeout < 0 || o.Connections < 0 {
		return nil, fmt.Errorf("policy service %s: the timeout or the number of connections is negative", o.Name)
	}
	if o.Fault == nil {
		o.Fault = func(relay.Fault) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{o: o, pool: newPool(network, address, o.Connections)}, nil
}

// split gives the address as net.Dial wants it.
func split(address string) (network, rest string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", strings.TrimPrefix(address, "inet:")
}

// JudgeRcpt implements relay.RecipientJudge: it asks in the state RCPT.
func (s *Service) JudgeRcpt(ctx context.Context, m *relay.Message, rcpt relay.Recipient) relay.Ruling {
	return s.judge(ctx, question{stage: "rcpt", state: "RCPT", m: m, rcpt: rcpt.Address.String()})
}

// Judge implements relay.Judge: it asks in the state END-OF-MESSAGE. The body is not looked at.
func (s *Service) Judge(ctx context.Context, m *relay.Message, _ io.Reader) relay.Judgement {
	q := question{stage: "data", state: "END-OF-MESSAGE", m: m, count: len(m.Envelope.Recipients)}
	if q.count == 1 {
		q.rcpt = m.Envelope.Recipients[0].Address.String()
	}
	return relay.Judgement{Ruling: s.judge(ctx, q)}
}

// judge asks, and makes what there is to be made of a failure.
func (s *Service) judge(ctx context.Context, q question) relay.Ruling {
	var ruling relay.Ruling
	var words string
	err := s.o.Breaker.Do(func() (down bool, err error) {
		ruling, words, down, err = s.ask(ctx, q)
		return down && ctx.Err() == nil, err
	})
	if err != nil {
		err = fmt.Errorf("policy service %s: %w", s.o.Name, err)
		if !errors.Is(err, relay.ErrLeftAlone) {
			s.o.Fault(relay.Fault{Doing: "ask a policy service", Err: err})
		}
		ruling, words = relay.Ruling{}, "cannot be asked, and lets pass"
		if !s.o.Accept {
			ruling, words = relay.Refusal(relay.LocalError(err)), "cannot be asked, and defers"
		}
	}
	ruling.Trace = []relay.Verdict{{Rule: "policy service " + s.o.Name, Stage: q.stage, Said: words}}
	return ruling
}

// ask gives what the answer comes to. Down says that there was none.
func (s *Service) ask(ctx context.Context, q question) (ruling relay.Ruling, words string, down bool, err error) {
	end := s.o.Now().Add(s.o.Timeout)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	action, err := s.pool.ask(ctx, end, q.text())
	if err != nil {
		return relay.Ruling{}, "", !errors.Is(err, errBusy), err
	}
	c, err := conclude(action)
	if err != nil {
		return relay.Ruling{}, "", false, err
	}
	if c.unheeded {
		s.o.Fault(relay.Fault{Doing: "heed a policy service", Err: fmt.Errorf("policy service %s: %q is not heeded", s.o.Name, action)})
	}
	if e := c.ruling.Edits; e != nil && e.Held != "" {
		e.Held = "policy service " + s.o.Name + ": " + e.Held
	}
	return c.ruling, c.words, false, nil
}
