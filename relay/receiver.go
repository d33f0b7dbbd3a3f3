package relay

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// The defaults of ReceiverOptions.
const (
	DefaultMessageSize = 50_000_000
	DefaultRecipients  = 1000
	DefaultHops        = 50
	DefaultHeaderSize  = 256 << 10
)

// ReceiverOptions is what a Receiver needs. Hostname, Spool, Policy, Observer, IDs and
// Now must be set.
type ReceiverOptions struct {
	// Hostname is our name in Received fields.
	Hostname string
	Spool    Spool
	Policy   Policy
	Observer Observer
	// Signers sign each message, in order.
	Signers []Signer
	// Scheduler is woken for what has been accepted; nil leaves everything in the spool.
	Scheduler *Scheduler
	// History is told of what is thrown away as it arrives; nil keeps nothing of that.
	History History
	// Suppressions know recipients to refuse; nil means that there are none.
	Suppressions Suppressions

	// MessageSize is the largest message, in bytes.
	MessageSize int64
	// Recipients is the most recipients of a message.
	Recipients int
	// Hops is the number of Received fields at which a message is taken to loop.
	Hops int
	// HeaderSize is the largest header section, in bytes. It is held in memory.
	HeaderSize int

	// Trace is the most verdicts of rules that are kept with a message. Default MaxTrace.
	Trace int

	// FlowBy is what mail is put into flows by, in order of preference.
	FlowBy []FlowBy
	// IDs names messages.
	IDs *IDs
	Now func() time.Time
}

// Receiver is the way in: it begins a Transaction for each session.
type Receiver struct {
	current atomic.Pointer[ReceiverOptions]
}

// live are the options as they are now.
func (r *Receiver) live() *ReceiverOptions { return r.current.Load() }

// NewReceiver fills in the defaults and checks the rest.
func NewReceiver(o ReceiverOptions) (*Receiver, error) {
	if o.Spool == nil || o.Policy == nil || o.Observer == nil || o.Now == nil || o.IDs == nil || o.Hostname == "" {
		return nil, errors.New("receiver: hostname, spool, policy, observer, IDs and clock must be set")
	}
	o.setDefaults()
	r := &Receiver{}
	r.current.Store(&o)
	return r, nil
}

func (o *ReceiverOptions) setDefaults() {
	if o.FlowBy == nil {
		o.FlowBy = DefaultFlowBy()
	}
	o.MessageSize = cmp.Or(o.MessageSize, DefaultMessageSize)
	o.Recipients = cmp.Or(o.Recipients, DefaultRecipients)
	o.Hops = cmp.Or(o.Hops, DefaultHops)
	o.Trace = cmp.Or(o.Trace, MaxTrace)
	o.HeaderSize = cmp.Or(o.HeaderSize, DefaultHeaderSize)
}

// Reload takes up another Policy, other Signers, FlowBy and limits; the rest of the options stays.
// A message that is being received is taken in on the terms on which it began.
func (r *Receiver) Reload(o ReceiverOptions) {
	next := *r.live()
	next.Policy, next.Signers, next.FlowBy = o.Policy, o.Signers, o.FlowBy
	next.MessageSize, next.Recipients, next.Hops, next.HeaderSize, next.Trace = o.MessageSize, o.Recipients, o.Hops, o.HeaderSize, o.Trace
	next.setDefaults()
	r.current.Store(&next)
}

// Connect decides whether a client may speak; nil means yes. What rules want done to the
// session's messages stays with the origin.
func (r *Receiver) Connect(ctx context.Context, o *Origin) *Reply {
	live := r.live()
	ruling := live.Policy.Connect(ctx, o)
	if ruling.Reply != nil {
		Refuse(live.Observer, Refused{Origin: o, Stage: "connect", Reply: ruling.Reply})
	}
	if o.connected = nil; ruling.Edits != nil || len(ruling.Trace) > 0 {
		o.connected = &ruling
	}
	return ruling.Reply
}

// Begin returns the transaction of a session, with the Receiver's limits and without
// repairs. It serves the session's messages one after the other. The origin is read as each message arrives, so that the session can fill in
// what it learns (EHLO, TLS, AUTH); it belongs to the session's goroutine.
func (r *Receiver) Begin(o *Origin) *Transaction { return r.BeginWith(o, Handling{}) }

// BeginWith is Begin for a session whose messages are handled in another way.
func (r *Receiver) BeginWith(o *Origin, h Handling) *Transaction {
	t := &Transaction{r: r, origin: o, wanted: h}
	t.renew()
	return t
}
