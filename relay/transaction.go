package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Transaction accepts one message at a time for a session: Mail, Rcpt once or more, Data.
// After Data, whatever its outcome, and after Reset it is empty again. It belongs to one
// goroutine. A nil *Reply means that the command is accepted.
type Transaction struct {
	r *Receiver
	// o are the receiver's options as they were when the message began: it is taken in whole on
	// the same terms, whatever is reloaded meanwhile.
	o      *ReceiverOptions
	origin *Origin
	// handling is what is wanted within those, wanted what the session asked for.
	handling, wanted Handling
	open             bool
	// message is what is known of the message so far: its origin, envelope, tags and trace.
	message Message
	// to says where the mail of each recipient of the envelope goes.
	to []Routing
	// taken is how many recipients the client has named and been told yes about, and departed are
	// those, and others, that the envelope does not have any more.
	taken    int
	departed []departed
	// held says why a rule holds the mail of single recipients.
	held map[Address]string
	// edits are what rules want done that has to wait. Of its changes of the header section the
	// first ones, common in number, were wanted before there were recipients.
	edits  Edits
	common int
	// announced is the size that MAIL gave, trial what judges of recipients know the message by.
	announced int64
	trial     ID
}

var (
	replyNoMail = Reply{Code: 503, Enhanced: EnhancedCode{5, 5, 1}, Text: "Need MAIL command first", Reason: ReasonProtocol}
	replyNoRcpt = Reply{Code: 554, Enhanced: EnhancedCode{5, 5, 1}, Text: "No valid recipients", Reason: ReasonProtocol}
	replyNested = Reply{Code: 503, Enhanced: EnhancedCode{5, 5, 1}, Text: "Nested MAIL command", Reason: ReasonProtocol}
)

// Mail begins a message. The envelope has the reverse-path and the parameters of MAIL; size
// is the SIZE parameter in bytes, 0 when unknown.
func (t *Transaction) Mail(ctx context.Context, e Envelope, size int64) *Reply {
	return t.refuse("mail", e.Sender, Address{}, t.mail(ctx, e, size))
}

func (t *Transaction) mail(ctx context.Context, e Envelope, size int64) *Reply {
	if t.open {
		return &replyNested
	}
	t.renew()
	if size > t.handling.MessageSize {
		return &replyTooLarge
	}
	if err := t.o.Spool.Admit(size); err != nil {
		return asReply(err)
	}
	t.Reset()
	t.message.Origin, t.message.Envelope = *t.origin, e
	if c := t.origin.connected; c != nil {
		t.record(&t.message, c.Trace)
		t.takeAll(&t.message, c.Edits)
	}
	ruling := t.o.Policy.Mail(ctx, &t.message)
	t.record(&t.message, ruling.Trace)
	if ruling.Reply != nil {
		return ruling.Reply
	}
	t.takeAll(&t.message, ruling.Edits)
	t.open, t.common, t.announced = true, len(t.edits.Header), size
	return nil
}

// renew puts the transaction on the receiver's terms of now.
func (t *Transaction) renew() {
	t.o = t.r.live()
	t.handling = t.wanted.within(t.o)
}

// Rcpt adds a recipient. One that was given before is accepted and not repeated.
func (t *Transaction) Rcpt(ctx context.Context, rcpt Recipient) *Reply {
	return t.refuse("rcpt", t.message.Envelope.Sender, rcpt.Address, t.rcpt(ctx, rcpt))
}

func (t *Transaction) rcpt(ctx context.Context, rcpt Recipient) *Reply {
	if !t.open {
		return &replyNoMail
	}
	e := &t.message.Envelope
	if hasRecipient(e.Recipients, rcpt.Address) || t.hasDeparted(rcpt.Address) {
		return nil
	}
	if limit := t.handling.Recipients; max(len(e.Recipients), t.taken) >= limit {
		return NewReply(452, EnhancedCode{4, 5, 3}, fmt.Sprintf("Too many recipients, the limit is %d", limit)).For(ReasonRecipients)
	}
	ruling := t.o.Policy.Rcpt(ctx, &t.message, rcpt)
	t.recordAbout(&t.message, ruling.Trace, rcpt.Address)
	if ruling.Reply != nil {
		return ruling.Reply
	}
	edits, reply := t.judgeRcpt(ctx, rcpt, ruling.Edits)
	if reply != nil {
		return reply
	}
	return t.admit(rcpt, edits)
}

// Data takes the content and commits the message. The content is what the client sent,
// without dot-stuffing. With a nil reply the message is on stable storage and the ID is
// its name. Where reading the content fails, the reply's cause wraps that error.
func (t *Transaction) Data(ctx context.Context, r io.Reader) (ID, *Reply) {
	id, reply := t.data(ctx, r)
	t.refuse("data", t.message.Envelope.Sender, Address{}, reply)
	t.Reset()
	return id, reply
}

// data is the spine of accepting mail: one step a line, and the 250 only after the commit.
func (t *Transaction) data(ctx context.Context, r io.Reader) (ID, *Reply) {
	if reply := t.complete(); reply != nil {
		return ID{}, reply
	}
	draft, err := t.o.Spool.Create(ctx)
	if err != nil {
		return ID{}, asReply(err)
	}
	defer draft.Discard()
	m, reply := t.copy(draft, r)
	if reply != nil {
		return ID{}, reply
	}
	m.prepend(received(t.o.Hostname, m, t.handling.HideClient))
	t.verify(ctx, m, draft)
	if reply := t.judge(ctx, m, draft); reply != nil {
		return ID{}, reply
	}
	if reply := t.screen(ctx, m); reply != nil {
		return ID{}, reply
	}
	t.heedTLSRequired(m, t.to)
	unsigned := sign(ctx, t.o.Signers, m, draft.Body)
	ds := t.deliveries(m)
	if reply := t.commit(ctx, draft, m, ds, unsigned); reply != nil {
		return ID{}, reply
	}
	return m.ID, nil
}

// screen asks the session and then the policy about the message, and does what the rules want
// done.
func (t *Transaction) screen(ctx context.Context, m *Message) *Reply {
	if t.handling.Screen != nil {
		if reply := t.handling.Screen(m); reply != nil {
			return reply
		}
	}
	ruling := t.o.Policy.Data(ctx, m)
	t.record(m, ruling.Trace)
	if ruling.Reply != nil {
		t.message.Trace = m.Trace
		return ruling.Reply
	}
	return t.amend(m, ruling.Edits)
}

// Trace is what rules have said so far about the message that is being accepted, or that was
// refused at MAIL.
func (t *Transaction) Trace() []Verdict { return t.message.Trace }

// Reset forgets the message begun, if any.
func (t *Transaction) Reset() {
	t.open, t.message, t.to, t.departed, t.held, t.edits, t.common = false, Message{}, nil, nil, nil, Edits{}, 0
	t.taken = 0
	t.announced, t.trial = 0, ID{}
}

// refuse tells the observer of a refusal on its way out.
func (t *Transaction) refuse(stage string, from, to Address, reply *Reply) *Reply {
	if reply != nil {
		Refuse(t.o.Observer, Refused{Origin: t.origin, Stage: stage, Sender: from, Recipient: to, Reply: reply, Trace: t.message.Trace})
	}
	return reply
}

func (t *Transaction) complete() *Reply {
	if !t.open {
		return &replyNoMail
	}
	if t.taken == 0 {
		return &replyNoRcpt
	}
	return nil
}

// copy brings the content into the draft and returns the message as it is then.
func (t *Transaction) copy(draft Draft, r io.Reader) (*Message, *Reply) {
	c := content{
		body: draft, limit: t.handling.MessageSize,
		header: header{limit: t.o.HeaderSize, strict: t.handling.Strict},
		lines:  lineEnds{strict: t.handling.Strict},
	}
	if err := c.copyFrom(r); err != nil {
		return nil, contentReply(err)
	}
	if c.header.hops >= t.o.Hops {
		return nil, NewReply(554, EnhancedCode{5, 4, 6}, "Too many hops, this message is looping").For(ReasonHops)
	}
	m := &Message{
		ID: t.o.IDs.Next(), Envelope: t.message.Envelope, Origin: *t.origin,
		Tags: t.message.Tags, Trace: t.message.Trace, SignWith: t.message.SignWith,
		Header: c.header.buf, Size: c.total(), Received: t.o.Now(),
	}
	m.Origin.connected = nil
	if t.handling.Submission {
		m.complete(t.o.Hostname)
	}
	return m, nil
}

// contentReply says what is wrong with the content, or with us while we took it in.
func contentReply(err error) *Reply {
	switch {
	case errors.Is(err, errTooLarge):
		return replyTooLarge.Because(err)
	case errors.Is(err, errHeaderTooLarge):
		return NewReply(552, EnhancedCode{5, 3, 4}, "Message header size exceeds the limit").For(ReasonSize).Because(err)
	case errors.Is(err, errBareLineEnd):
		return NewReply(550, EnhancedCode{5, 6, 11}, "Message contains a bare CR or LF").For(ReasonContent).Because(err)
	case errors.Is(err, errLongLine):
		return NewReply(550, EnhancedCode{5, 6, 0}, "Message contains a line over 998 characters").For(ReasonContent).Because(err)
	case errors.Is(err, errNoField):
		return NewReply(550, EnhancedCode{5, 6, 0}, "Message header contains a line that is no header field").For(ReasonContent).Because(err)
	case errors.Is(err, errNUL):
		return NewReply(550, EnhancedCode{5, 6, 0}, "Message contains a NUL character").For(ReasonContent).Because(err)
	}
	return asReply(err)
}

// asReply finds the reply in an error; what is none is a failure of ours.
func asReply(err error) *Reply {
	if reply, ok := errors.AsType[*Reply](err); ok {
		return reply
	}
	return LocalError(err)
}

// commit makes the message durable and hands its deliveries to the scheduler. Room in the
// bins is reserved before, so that a delivery is never in a bin and up for claim at once.
func (t *Transaction) commit(ctx context.Context, draft Draft, m *Message, ds []Delivery, unsigned error) *Reply {
	began := t.o.Now()
	scheduler := t.o.Scheduler
	if scheduler != nil {
		scheduler.reserve(m, ds)
	}
	gone := t.departures(m)
	// The client may be gone by now; the message is whole and is kept all the same. One that is
	// thrown away needs no room.
	if len(ds) > 0 {
		if err := draft.Commit(context.WithoutCancel(ctx), m, ds, t.ends(m, gone)...); err != nil {
			if scheduler != nil {
				scheduler.cancel(ds)
			}
			return asReply(fmt.Errorf("commit message %s: %w", m.ID, err))
		}
	}
	ended := t.o.Now()
	accepted := Accepted{Message: m, Unsigned: unsigned, Commit: ended.Sub(began), Answer: ended.Sub(m.Received)}
	for _, d := range ds {
		accepted.Destinations = append(accepted.Destinations, d.To)
	}
	t.o.Observer.Accepted(accepted)
	tellHeld(t.o.Observer, m, ds, "")
	if len(gone) > 0 {
		if len(ds) == 0 {
			t.remember(ctx, m, gone)
		}
		t.o.Observer.Attempted(Attempted{Delivery: Delivery{DeliveryID: DeliveryID{Message: m.ID}}, Message: m, Outcomes: gone})
	}
	if scheduler != nil {
		scheduler.accept(ds)
		if t.o != t.r.live() {
			scheduler.redirectMessage(context.WithoutCancel(ctx), m.ID)
		}
	}
	return nil
}

// prepend puts header fields in front.
func (m *Message) prepend(fields string) {
	m.Header = append(append(make([]byte, 0, len(fields)+len(m.Header)), fields...), m.Header...)
	m.Size += int64(len(fields))
}

// sign puts the signers' fields in front of the message. Mail is never stopped for want of
// a signature: the error says why there is none.
func sign(ctx context.Context, signers []Signer, m *Message, body func() (io.ReadSeekCloser, error)) error {
	var unsigned error
	for _, s := range signers {
		fields, err := signature(ctx, s, m, body)
		if err != nil {
			unsigned = errors.Join(unsigned, err)
			continue
		}
		m.prepend(string(fields))
	}
	return unsigned
}

func signature(ctx context.Context, s Signer, m *Message, body func() (io.ReadSeekCloser, error)) ([]byte, error) {
	b := &lazyBody{open: body}
	defer b.close()
	return s.Sign(ctx, m, b)
}

// lazyBody is a body that the first read opens.
type lazyBody struct {
	open   func() (io.ReadSeekCloser, error)
	opened io.ReadSeekCloser
}

// Read reads the body from its start.
func (b *lazyBody) Read(p []byte) (int, error) {
	if b.opened == nil {
		opened, err := b.open()
		if err != nil {
			return 0, fmt.Errorf("read the body: %w", err)
		}
		b.opened = opened
	}
	return b.opened.Read(p)
}

func (b *lazyBody) close() {
	if b.opened != nil {
		_ = b.opened.Close() // what was to be read has been
	}
}

// deliveries are the message's, with the flow that rules want or that the receiver gives it.
func (t *Transaction) deliveries(m *Message) []Delivery {
	ds := deliveries(m, t.to, t.o.Now())
	flow := t.edits.Flow
	if flow == "" {
		flow = flowOf(m, t.o.FlowBy)
	}
	for i := range ds {
		ds[i].Flow = flow
	}
	return ds
}

// deliveries groups the recipients by where their mail goes, in order of first appearance.
func deliveries(m *Message, to []Routing, now time.Time) []Delivery {
	flow := flowOf(m, DefaultFlowBy())
	var ds []Delivery
	index := make(map[Routing]int, 1)
	for i, routing := range to {
		if routing.Discard {
			continue
		}
		k, seen := index[routing]
		if !seen {
			k = len(ds)
			index[routing] = k
			ds = append(ds, Delivery{
				DeliveryID: DeliveryID{m.ID, uint32(k)}, To: routing.To, Flow: flow, Due: now,
				Priority: m.Envelope.Priority, Held: routing.Held,
			})
			if routing.Held != "" {
				ds[k].HeldSince = now
			}
		}
		ds[k].Recipients = append(ds[k].Recipients, i)
	}
	if len(ds) == 1 {
		ds[0].Sole = true
	}
	return ds
}
