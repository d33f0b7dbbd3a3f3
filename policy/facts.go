package policy

import (
	"context"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/vm"
	"golang.org/x/net/idna"

	"postrider/relay"
)

// environment is what conditions can name, with the types that they are checked against.
type environment struct {
	Client     client                   `expr:"client"`
	Listener   string                   `expr:"listener"`
	User       string                   `expr:"user"`
	TLS        session                  `expr:"tls"`
	Sender     address                  `expr:"sender"`
	Recipient  address                  `expr:"recipient"`
	Recipients []address                `expr:"recipients"`
	Size       int                      `expr:"size"`
	Subject    string                   `expr:"subject"`
	Header     func(name string) string `expr:"header"`
	Tags       []string                 `expr:"tags"`
	Time       clock                    `expr:"time"`
	SPF        result                   `expr:"spf"`
	DKIM       result                   `expr:"dkim"`
	DMARC      result                   `expr:"dmarc"`
	Queue      func(name string) queue  `expr:"queue"`
}

type client struct {
	IP   string `expr:"ip"`
	Name string `expr:"name"`
	Helo string `expr:"helo"`
}

type session struct {
	Version string `expr:"version"`
	Cipher  string `expr:"cipher"`
}

type address struct {
	Address string `expr:"address"`
	Local   string `expr:"local"`
	Domain  string `expr:"domain"`
}

type clock struct {
	Hour    int    `expr:"hour"`
	Minute  int    `expr:"minute"`
	Day     int    `expr:"day"`
	Month   int    `expr:"month"`
	Year    int    `expr:"year"`
	Weekday string `expr:"weekday"`
}

// result is what verification of a message found; policy is for dmarc only.
type result struct {
	Result string `expr:"result"`
	Policy string `expr:"policy"`
}

// queue is how a destination stands.
type queue struct {
	Waiting int  `expr:"waiting"`
	Blocked bool `expr:"blocked"`
	// Age is how long the oldest delivery has waited that is not deferred, in seconds.
	Age int `expr:"age"`
}

// machine is the environment as expr's machine runs with it: field for field the same, each
// value in an interface already. The machine wants interfaces, and so makes them once
// for a command and not once for every use.
type machine struct {
	Client     machineClient
	Listener   any
	User       any
	TLS        machineSession
	Sender     machineAddress
	Recipient  machineAddress
	Recipients any
	Size       any
	Subject    any
	Header     any
	Tags       any
	Time       machineClock
	SPF        machineResult
	DKIM       machineResult
	DMARC      machineResult
	Queue      any
}

type machineClient struct{ IP, Name, Helo any }

type machineSession struct{ Version, Cipher any }

type machineClock struct{ Hour, Minute, Day, Month, Year, Weekday any }

type machineResult struct{ Result, Policy any }

type machineAddress struct{ Address, Local, Domain any }

// facts are what is known of a command while the rules of its stage are asked. What takes time
// to find out is found out when a condition asks for it.
type facts struct {
	policy  *Policy
	ctx     context.Context // of the command: facts live no longer
	origin  *relay.Origin
	message *relay.Message
	// asked are the recipients that the stage is about.
	asked []relay.Recipient

	addr      netip.Addr
	ip        string
	sender    address
	recipient address
	tags      []string
	at        time.Time
	subject   string
	hasTopic  bool
	// err is the first failure: from then on what conditions say does not count.
	err error

	vm      vm.VM
	machine machine
	// filled are the names that the machine has.
	filled names
}

// facts borrows facts about a session and, where there is one, its message.
func (p *Policy) facts(ctx context.Context, o *relay.Origin, m *relay.Message) *facts {
	f := p.pool.Get().(*facts)
	f.policy, f.ctx, f.origin, f.message = p, ctx, o, m
	if m != nil {
		f.sender = senderAddress(m.Envelope.Sender).compared()
		f.tags = m.Tags
	}
	return f
}

// done gives the facts back, without what they hold on to.
func (f *facts) done() {
	p := f.policy
	*f = facts{vm: f.vm}
	p.pool.Put(f)
}

// clientAddr is the client's address for comparisons.
func (f *facts) clientAddr() netip.Addr {
	if !f.addr.IsValid() {
		f.addr = clientAddr(f.origin)
	}
	return f.addr
}

func (f *facts) clientIP() string {
	if f.ip == "" {
		f.ip = f.clientAddr().String()
	}
	return f.ip
}

// clientName is the client's name by reverse look-up that leads back to it; "" for none.
func (f *facts) clientName() string {
	name, err := f.policy.clients.name(f.ctx, clientAddr(f.origin))
	f.fail(err)
	return name
}

// fail keeps the first failure.
func (f *facts) fail(err error) {
	if f.err == nil && err != nil {
		f.err = err
	}
}

func (f *facts) tlsVersion() string {
	version, _, _ := strings.Cut(f.origin.TLS, ", ")
	return version
}

func (f *facts) tlsCipher() string {
	_, cipher, _ := strings.Cut(f.origin.TLS, ", ")
	return cipher
}

func (f *facts) topic() string {
	if !f.hasTopic {
		f.subject, f.hasTopic = f.header("Subject"), true
	}
	return f.subject
}

func (f *facts) header(name string) string { return headerValue(f.message.Header, name) }

func (f *facts) now() time.Time {
	if f.at.IsZero() {
		f.at = f.policy.now()
	}
	return f.at
}

func (f *facts) clock() clock {
	t := f.now()
	return clock{
		Hour: t.Hour(), Minute: t.Minute(), Day: t.Day(), Month: int(t.Month()), Year: t.Year(),
		Weekday: strings.ToLower(t.Weekday().String()),
	}
}

func (f *facts) recipients() []address {
	list := make([]address, len(f.message.Envelope.Recipients))
	for i, r := range f.message.Envelope.Recipients {
		list[i] = recipientAddress(r.Address, f.policy.hostname).compared()
	}
	return list
}

func (f *facts) queue(name string) queue {
	st := f.policy.queue(relay.ParseDestination(name))
	q := queue{Waiting: st.Loaded + st.Away, Blocked: st.Closed}
	if !st.Oldest.IsZero() {
		q.Age = max(0, int(f.now().Sub(st.Oldest)/time.Second))
	}
	return q
}

// traced is how many verdicts the message has already.
func (f *facts) traced() int {
	if f.message == nil {
		return 0
	}
	return len(f.message.Trace)
}

// forget has names filled in anew when they are asked for the next time.
func (f *facts) forget(n names) { f.filled &^= n }

// fill gives the machine what a condition names.
func (f *facts) fill(wanted names) {
	wanted &^= f.filled
	f.filled |= wanted
	m := &f.machine
	if wanted&nameClient != 0 {
		m.Client.IP, m.Client.Helo = f.clientIP(), f.origin.Greeting
	}
	if wanted&nameClientName != 0 {
		m.Client.Name = f.clientName()
	}
	if wanted&nameSession != 0 {
		m.Listener, m.User = f.origin.Listener, f.origin.User
		m.TLS = machineSession{Version: f.tlsVersion(), Cipher: f.tlsCipher()}
	}
	if wanted&nameSender != 0 {
		m.Sender = f.sender.boxed()
	}
	if wanted&nameRecipient != 0 {
		m.Recipient = f.recipient.boxed()
	}
	if wanted&nameTags != 0 {
		m.Tags = f.tags
	}
	if wanted&nameTime != 0 {
		c := f.clock()
		m.Time = machineClock{c.Hour, c.Minute, c.Day, c.Month, c.Year, c.Weekday}
	}
	if wanted&nameQueue != 0 {
		m.Queue = f.queue
	}
	f.fillMessage(wanted)
}

// fillMessage fills in what is known at data.
func (f *facts) fillMessage(wanted names) {
	m := &f.machine
	if wanted&nameRecipients != 0 {
		m.Recipients = f.recipients()
	}
	if wanted&nameSubject != 0 {
		m.Subject = f.topic()
	}
	if wanted&nameMessage != 0 {
		v := f.message.Verified
		m.Size, m.Header = int(f.message.Size), f.header
		m.SPF, m.DKIM = machineResult{v.SPF, ""}, machineResult{v.DKIM, ""}
		m.DMARC = machineResult{v.DMARC, v.DMARCPolicy}
	}
}

func (a address) boxed() machineAddress {
	return machineAddress{Address: a.Address, Local: a.Local, Domain: a.Domain}
}

func senderAddress(a relay.Address) address {
	a.Domain = lookedUp(a.Domain)
	return address{Address: a.String(), Local: a.Local, Domain: a.Domain}
}

// recipientAddress gives the bare "postmaster" our own domain.
func recipientAddress(a relay.Address, hostname string) address {
	if a.Domain == "" {
		a.Domain = hostname
	}
	return senderAddress(a)
}

// lookedUp gives a domain in the form that it will be looked up in, so that a wide letter or an
// ideographic full stop (UTS 46) gets nobody past a rule or onto another route.
func lookedUp(domain string) string {
	for i := range len(domain) {
		if domain[i] < utf8.RuneSelf {
			continue
		}
		if mapped, err := idna.Lookup.ToUnicode(domain); err == nil {
			return mapped
		}
		break
	}
	return domain
}

// clientAddr is the client's address for comparisons: an IPv4 address is one in IPv6
// clothes too, a zone names an interface of ours and not the client, and a client without
// an address is on a Unix socket or is ourselves.
func clientAddr(o *relay.Origin) netip.Addr {
	if !o.Client.IsValid() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return o.Client.Unmap().WithZone("")
}
