package milter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-milter"

	"postrider/relay"
)

// The defaults of Options.
const (
	DefaultTimeout     = 30 * time.Second
	DefaultConnections = 50
)

// Options name a milter.
type Options struct {
	// Name is for logs and traces.
	Name string
	// Address is "host:port" or "unix:/path".
	Address string
	// Timeout bounds the whole conversation about a message. Default 30 seconds.
	Timeout time.Duration
	// Connections is how many messages the milter is asked about at once; others wait, within
	// Timeout. Default 50.
	Connections int
	// Accept lets messages pass that the milter cannot be asked about. Otherwise they are
	// refused for now.
	Accept bool
	// Hostname is our name, which milters know as the macro j.
	Hostname string
	// Fault is told of failures.
	Fault func(relay.Fault)
	// Breaker has the milter left alone when it is down; nil never does. What can be the doing of a
	// message, such as a conversation about it that takes too long, counts only where messages
	// do not pass then.
	Breaker *relay.Breaker
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Milter is a relay.Judge.
type Milter struct {
	o     Options
	slots chan struct{}
}

var _ relay.Judge = (*Milter)(nil)

// New fills in the defaults. It does not connect.
func New(o Options) (*Milter, error) {
	network, address := split(o.Address)
	if _, _, err := net.SplitHostPort(address); network == "tcp" && err != nil || address == "" {
		return nil, fmt.Errorf("milter %s: %q is not an address such as 127.0.0.1:8891 or unix:/run/opendkim/opendkim.sock", o.Name, o.Address)
	}
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.Connections = cmp.Or(o.Connections, DefaultConnections)
	if o.Timeout < 0 || o.Connections < 0 {
		return nil, fmt.Errorf("milter %s: the timeout or the number of connections is negative", o.Name)
	}
	if o.Fault == nil {
		o.Fault = func(relay.Fault) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Milter{o: o, slots: make(chan struct{}, o.Connections)}, nil
}

// split gives the address as net.Dial wants it.
func split(address string) (network, rest string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

// Judge implements relay.Judge.
func (f *Milter) Judge(ctx context.Context, m *relay.Message, body io.Reader) relay.Judgement {
	var said relay.Judgement
	err := f.o.Breaker.Do(func() (down bool, err error) {
		var stage reached
		said, stage, err = f.ask(ctx, m, body)
		return err != nil && ctx.Err() == nil && (stage == nowhere || stage == talking && !f.o.Accept), err
	})
	if err == nil {
		return said
	}
	err = fmt.Errorf("milter %s: %w", f.o.Name, err)
	if !errors.Is(err, relay.ErrLeftAlone) {
		f.o.Fault(relay.Fault{Doing: "ask a milter", Message: m.ID, Err: err})
	}
	if f.o.Accept {
		return f.judgement(relay.Ruling{}, "cannot be asked, and lets pass")
	}
	return f.judgement(relay.Refusal(relay.LocalError(err)), "cannot be asked, and defers")
}

// judgement is the ruling with what it comes to in words.
func (f *Milter) judgement(r relay.Ruling, words string) relay.Judgement {
	r.Trace = []relay.Verdict{{Rule: "milter " + f.o.Name, Stage: "data", Said: words}}
	return relay.Judgement{Ruling: r}
}

// reached is how far a conversation came that failed.
type reached int

const (
	// nowhere: there was no session, before anything was said of the message.
	nowhere reached = iota
	// talking: the session broke off, or took too long.
	talking
	// concluded: the answer makes no sense, or it was not the milter's fault.
	concluded
)

// ask holds the conversation, within the time that there is. Whatever the milter has said so far is
// of no account when it fails.
func (f *Milter) ask(ctx context.Context, m *relay.Message, body io.Reader) (relay.Judgement, reached, error) {
	end := f.o.Now().Add(f.o.Timeout)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return relay.Judgement{}, concluded, errors.New("there was no turn in time: too many messages at once")
	}
	d := &dialer{ctx: ctx, end: end}
	defer d.close()
	stop := context.AfterFunc(ctx, d.close)
	defer stop()
	s, err := f.session(d, actions, protocol)
	if errors.Is(err, milter.ErrUnsupportedMilterVersion) {
		s, err = f.session(d, actions&oldActions, protocol&oldProtocol)
	}
	if err != nil {
		return relay.Judgement{}, nowhere, err
	}
	c := conversation{f: f, s: s, m: m}
	act, changes, err := c.hold(body)
	if err != nil {
		return relay.Judgement{}, talking, err
	}
	said, err := f.conclude(m, act, changes, s.ProtocolOption(milter.OptHeaderLeadingSpace))
	return said, concluded, err
}

// session connects and agrees with the milter on what it may do.
func (f *Milter) session(d *dialer, a milter.OptAction, p milter.OptProtocol) (*milter.ClientSession, error) {
	network, address := split(f.o.Address)
	return milter.NewClientWithOptions(network, address, milter.ClientOptions{
		Dialer: d, ReadTimeout: f.o.Timeout, WriteTimeout: f.o.Timeout, ActionMask: a, ProtocolMask: p,
	}).Session()
}

// What there is in version 2 of the protocol, which old milters speak.
const (
	oldActions  milter.OptAction   = 0x3f
	oldProtocol milter.OptProtocol = 0x7f
)

// What milters may ask for. The body stays as it came: bytes of a message are never rewritten.
const actions = milter.OptAddHeader | milter.OptChangeHeader | milter.OptAddRcpt | milter.OptRemoveRcpt |
	milter.OptQuarantine | milter.OptChangeFrom

// protocol is what milters may leave out: any of the steps, and their replies to them.
const protocol = milter.OptNoConnect | milter.OptNoHelo | milter.OptNoMailFrom | milter.OptNoRcptTo | milter.OptNoBody |
	milter.OptNoHeaders | milter.OptNoEOH | milter.OptNoUnknown | milter.OptNoData |
	milter.OptNoHeaderReply | milter.OptNoConnReply | milter.OptNoHeloReply | milter.OptNoMailReply | milter.OptNoRcptReply |
	milter.OptNoDataReply | milter.OptNoUnknownReply | milter.OptNoEOHReply | milter.OptNoBodyReply | milter.OptHeaderLeadingSpace
