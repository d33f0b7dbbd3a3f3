package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	crand "crypto/rand"

	"postrider/configs"
	"postrider/inbound"
	"postrider/inbound/auth"
	"postrider/outbound"
	"postrider/policy"
	"postrider/relay"
)

// question is a message that explain is asked about.
type question struct {
	client, helo, user, listener, tls, from string
	to                                      []string
	message                                 string
	// password is the user's, where the stores of users are to be asked; "" for no.
	password string
	// suppressions are those of a relay that runs; nil where it was not asked.
	suppressions relay.Suppressions
}

// allVerdicts is how many verdicts an explanation has room for.
const allVerdicts = 1 << 20

// explainMessage has the way in that the relay has take the message, into a spool that keeps nothing.
func explainMessage(ctx context.Context, config *configs.Config, q question) (*explanation, error) {
	options := config.Policy
	options.Unmatched = allVerdicts
	rules, err := policy.New(options)
	if err != nil {
		return nil, err
	}
	seen := &explainObserver{}
	signers, err := signers(config.DKIM, relay.Observers{seen})
	if err != nil {
		return nil, err
	}
	r := config.Receiver
	r.Spool, r.Policy, r.Observer, r.Signers, r.Trace = explainSpool{seen: seen}, rules, seen, signers, allVerdicts
	r.Suppressions = q.suppressions
	r.IDs, r.Now = relay.NewIDs(time.Now, crand.Reader), time.Now
	receiver, err := relay.NewReceiver(r)
	if err != nil {
		return nil, err
	}
	origin, err := q.origin(config)
	if err != nil {
		return nil, err
	}
	door, err := q.door(ctx, config, origin)
	if err != nil {
		return nil, err
	}
	e := &explanation{keys: len(config.DKIM.Keys) > 0, Judges: judges(config, origin.Listener), Limits: fmt.Sprintf("messages of %d bytes, %d recipients",
		cmp.Or(door.handling.MessageSize, r.MessageSize), cmp.Or(door.handling.Recipients, r.Recipients))}
	if err := e.converse(ctx, receiver, origin, q, door, rules); err != nil {
		return nil, err
	}
	e.outcome(seen)
	e.suppressedAnyway(&q, seen.message)
	return e, nil
}

// origin is the session that the question is about.
func (q *question) origin(config *configs.Config) (*relay.Origin, error) {
	o := &relay.Origin{Listener: q.listener, Greeting: cmp.Or(q.helo, "client.example"), User: q.user, Protocol: "ESMTP", TLS: q.tls}
	var err error
	if o.Client, err = netip.ParseAddr(cmp.Or(q.client, "127.0.0.1")); err != nil {
		return nil, fmt.Errorf("the client's address: %w", err)
	}
	var names []string
	for _, l := range config.Inbound.Listeners {
		names = append(names, l.Name)
	}
	if o.Listener == "" && len(names) > 0 {
		o.Listener = names[0]
	}
	if !slices.Contains(names, o.Listener) {
		return nil, fmt.Errorf("there is no listener %q, only %s", o.Listener, strings.Join(names, ", "))
	}
	return o, nil
}

// door is what a listener makes of a client, besides the rules.
type door struct {
	handling relay.Handling
	// auth refuses the user; nil for no.
	auth *relay.Reply
	// mail decides whether the user may send as an address.
	mail func(relay.Address) *relay.Reply
}

// door is that of the question's listener. What the users file says of the user holds, and with a
// password what other stores say; without one, their users may send as anybody here.
func (q *question) door(ctx context.Context, config *configs.Config, o *relay.Origin) (*door, error) {
	i := slices.IndexFunc(config.Inbound.Listeners, func(l inbound.Listener) bool { return l.Name == o.Listener })
	l := config.Inbound.Listeners[i]
	d := &door{handling: relay.Handling{
		Strict: l.Strict, Submission: l.Submission, HideClient: l.HideClient,
		MessageSize: l.Limits.MessageSize, Recipients: l.Limits.Recipients,
	}}
	d.mail = func(relay.Address) *relay.Reply {
		if l.Auth == inbound.AuthRequired && o.User == "" {
			return relay.NewReply(530, relay.EnhancedCode{5, 7, 0}, "Authentication required")
		}
		return nil
	}
	if o.User == "" || config.Inbound.Users.IsZero() || config.Inbound.Users.File == "" && q.password == "" {
		return d, nil
	}
	users, err := auth.New(config.Inbound.Users)
	if err != nil {
		return nil, errors.Join(err, users.Close())
	}
	id, refused := q.identify(ctx, users, o)
	if refused != nil {
		d.auth = refused
		return d, users.Close()
	}
	if id != nil {
		o.User = id.User
	}
	d.mail = func(sender relay.Address) *relay.Reply { return users.Mail(id, sender) }
	d.handling.Screen = func(m *relay.Message) *relay.Reply { return users.Header(id, m.Fields("From")) }
	return d, users.Close()
}

// converse goes through the commands of a session.
func (e *explanation) converse(ctx context.Context, receiver *relay.Receiver, o *relay.Origin, q question, d *door, rules *policy.Policy) error {
	say := func(stage string, reply *relay.Reply) bool {
		e.Stage, e.Reply = stage, "250 2.0.0 Ok"
		if reply != nil {
			e.Reply = reply.Error()
		}
		return reply == nil
	}
	sender, err := relay.ParseAddress(q.from)
	if err != nil {
		return fmt.Errorf("the sender: %w", err)
	}
	e.Sender = sender.String()
	if !say("connect", receiver.Connect(ctx, o)) {
		e.trace(rules.Connect(ctx, o).Trace)
		return nil
	}
	if d.auth != nil {
		say("auth", d.auth)
		return nil
	}
	t := receiver.BeginWith(o, d.handling)
	if !say("mail", d.mail(sender)) {
		return nil
	}
	if !say("mail", t.Mail(ctx, relay.Envelope{Sender: sender}, 0)) {
		e.trace(t.Trace())
		return nil
	}
	for _, text := range q.to {
		to, err := relay.ParseAddress(text)
		if err != nil {
			return fmt.Errorf("a recipient: %w", err)
		}
		if !say("rcpt", t.Rcpt(ctx, relay.Recipient{Address: to})) {
			e.Refused = append(e.Refused, text+": "+e.Reply)
		}
	}
	e.trace(t.Trace())
	if len(e.Refused) == len(q.to) {
		return nil
	}
	_, reply := t.Data(ctx, strings.NewReader(q.text()))
	say("data", reply)
	return nil
}

// text is the message.
func (q *question) text() string {
	if q.message != "" {
		return q.message
	}
	return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: test\r\n\r\ntest\r\n", q.from, strings.Join(q.to, ">, <"))
}

func (e *explanation) trace(list []relay.Verdict) {
	e.Rules = nil
	for _, v := range list {
		e.Rules = append(e.Rules, ruleView{v.Stage, v.Rule, v.Recipient, v.Said})
	}
}

// outcome adds what came of the message.
func (e *explanation) outcome(seen *explainObserver) {
	if seen.refused != nil {
		e.trace(seen.refused)
	}
	m := seen.message
	if m == nil {
		return
	}
	e.trace(m.Trace)
	e.Sender, e.Tags, e.Priority, e.Header = m.Envelope.Sender.String(), m.Tags, m.Envelope.Priority, string(m.Header)
	for _, v := range m.Trace {
		if changes(v.Said) {
			e.Changes = append(e.Changes, fmt.Sprintf("%s: %s", v.Rule, v.Said))
		}
	}
	for _, value := range m.Fields("DKIM-Signature") {
		if !strings.Contains(seen.content, value) {
			e.Signed = append(e.Signed, keyName(value))
		}
	}
	switch {
	case seen.unsigned != nil:
		e.Unsigned = seen.unsigned.Error()
	case len(e.Signed) == 0 && e.keys:
		e.Unsigned = "no key that is for this mail signs; postrider dkim check shows those that wait for their record"
	}
	for _, r := range seen.discarded {
		e.Discarded = append(e.Discarded, r.Address.String())
	}
	for _, d := range seen.deliveries {
		view := deliveryView{Destination: d.To.String(), Flow: string(d.Flow), Held: d.Held}
		for _, k := range d.Recipients {
			view.Recipients = append(view.Recipients, m.Envelope.Recipients[k].Address.String())
		}
		e.Deliveries = append(e.Deliveries, view)
	}
}

// changes says that the words of a rule are about a change that was made.
func changes(said string) bool {
	for _, other := range []string{"accept", "reject ", "defer ", "dry, ", "limit "} {
		if strings.HasPrefix(said, other) {
			return false
		}
	}
	return said != ""
}

// keyName names the key of a signature as DNS does.
func keyName(signature string) string {
	var domain, selector string
	for tag := range strings.SplitSeq(signature, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(tag), "=")
		switch strings.TrimSpace(name) {
		case "d":
			domain = strings.TrimSpace(value)
		case "s":
			selector = strings.TrimSpace(value)
		}
	}
	return selector + "._domainkey." + domain
}

// explainPatience bounds the look-ups for each way out.
const explainPatience = 15 * time.Second

// resolve adds what is known of each way out. The policies of domains are asked for anew: those on
// disk are the relay's own.
func (e *explanation) resolve(ctx context.Context, config *configs.Config) error {
	options := config.Outbound
	options.TLSReports = nil
	if options.STSDir != "" {
		dir, err := os.MkdirTemp("", "postrider-explain-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		options.STSDir = dir
	}
	transport, err := outbound.New(options)
	for i := range e.Deliveries {
		d := &e.Deliveries[i]
		if err != nil {
			d.Fault = err.Error()
			continue
		}
		to := relay.ParseDestination(d.Destination)
		for _, r := range options.Routes {
			if r.Name == to.Route {
				d.describe(&r)
			}
		}
		d.lookUp(ctx, transport, to)
	}
	return nil
}

// lookUp adds the hosts as they are now, and what they have to prove.
func (d *deliveryView) lookUp(ctx context.Context, transport *outbound.Transport, to relay.Destination) {
	ctx, cancel := context.WithTimeout(ctx, explainPatience)
	defer cancel()
	site, err := transport.Resolve(ctx, to)
	if err != nil {
		d.Fault = err.Error()
		return
	}
	d.Hosts, d.Proof = outbound.Addresses(site), transport.Demands(ctx, site)
}

// describe adds what the route says.
func (d *deliveryView) describe(r *outbound.Route) {
	d.TLS, d.Protocol = r.TLS.String(), "SMTP"
	if r.LMTP {
		d.Protocol = "LMTP"
	}
	if r.Auth != nil {
		d.User = r.Auth.User
	}
	var limits []string
	if r.Connections > 0 {
		limits = append(limits, fmt.Sprintf("%d connections", r.Connections))
	}
	for _, rate := range r.Rates {
		limits = append(limits, rate.String())
	}
	d.Limits = strings.Join(limits, ", ")
}

// explainObserver keeps what the way in tells.
type explainObserver struct {
	relay.Observers
	message    *relay.Message
	deliveries []relay.Delivery
	discarded  []relay.Recipient
	refused    []relay.Verdict
	unsigned   error
	content    string
}

// Accepted keeps the message.
func (o *explainObserver) Accepted(e relay.Accepted) { o.message, o.unsigned = e.Message, e.Unsigned }

// Refused keeps what rules had said.
func (o *explainObserver) Refused(e relay.Refused) { o.refused = e.Trace }

// Attempted keeps who was discarded. Whose mail went to others is in their place.
func (o *explainObserver) Attempted(e relay.Attempted) {
	for _, outcome := range e.Outcomes {
		if outcome.Status == relay.Discarded && !outcome.Reply.IsRedirected() {
			o.discarded = append(o.discarded, outcome.Recipient)
		}
	}
}

// explainSpool takes everything and keeps nothing.
type explainSpool struct {
	relay.Spool
	seen *explainObserver
}

// Admit has room.
func (explainSpool) Admit(int64) error { return nil }

// Create begins a draft in memory.
func (s explainSpool) Create(context.Context) (relay.Draft, error) {
	return &explainDraft{seen: s.seen}, nil
}

type explainDraft struct {
	bytes.Buffer
	seen *explainObserver
}

// Body reads back what was written.
func (d *explainDraft) Body() (io.ReadSeekCloser, error) {
	return explainBody{bytes.NewReader(d.Bytes())}, nil
}

// Commit looks at the deliveries.
func (d *explainDraft) Commit(_ context.Context, _ *relay.Message, ds []relay.Delivery, _ ...relay.Event) error {
	d.seen.deliveries = ds
	return nil
}

// Discard has nothing to do.
func (*explainDraft) Discard() {}

type explainBody struct{ *bytes.Reader }

func (explainBody) Close() error { return nil }

// errUnmet says that expectations are not met.
var errUnmet = errors.New("the configuration does not do what is expected of it")
