package inbound

import (
	"io"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"postrider/inbound/auth"
	"postrider/relay"
)

// transaction is a session's mail in the terms of go-smtp: the loop calls it as go-smtp's
// server would. The order and syntax of commands are the loop's; what the user, the limits
// and the policy have to say is decided from here on. Its errors are bare *smtp.SMTPError,
// that of Data too when it has the message: 250, with the name that it was given.
type transaction struct {
	s     *session
	relay *relay.Transaction
	// priority is what MT-PRIORITY asks of the next message, and then what it was
	// granted: go-smtp has a field for it at RCPT, RFC 6710 puts it at MAIL.
	priority int8
	// sender is the reverse-path of the message begun.
	sender relay.Address
	// utf8 says that the message begun is internationalised.
	utf8 bool
	// recipients counts those that were accepted.
	recipients int
	// messages counts those of the session that were accepted.
	messages int
}

var _ smtp.AuthSession = (*transaction)(nil)

// Mail begins a message. From is a path without its angle brackets.
func (t *transaction) Mail(from string, opts *smtp.MailOptions) error {
	s := t.s
	if most := s.limits.MessagesPerConnection; most > 0 && t.messages >= most {
		return s.refuse("mail", &replyEnough)
	}
	sender, refused := parsePath(from, opts.UTF8, &replySender)
	if refused != nil {
		return refused
	}
	t.sender, t.utf8 = sender, opts.UTF8
	if reply := t.permit(); reply != nil {
		return s.refuse("mail", reply)
	}
	claimed, reply := t.meterMessage()
	if reply != nil {
		return s.refuse("mail", reply)
	}
	t.priority = t.grant(t.priority)
	if reply = t.relay.Mail(s.ctx, t.envelope(opts), opts.Size); reply != nil {
		s.server.meters.giveBack(claimed)
	}
	return refusal(reply)
}

// envelope is what MAIL says, in relay's words. AUTH is left out: what a client knows of the
// submitter is not passed on (RFC 4954 section 5).
func (t *transaction) envelope(opts *smtp.MailOptions) relay.Envelope {
	e := relay.Envelope{
		Sender: t.sender, SMTPUTF8: opts.UTF8, EightBit: opts.Body == smtp.Body8BitMIME, RequireTLS: opts.RequireTLS,
		Priority: t.priority, EnvelopeID: opts.EnvelopeID,
	}
	switch opts.Return {
	case smtp.DSNReturnFull:
		e.Return = relay.ReturnFull
	case smtp.DSNReturnHeaders:
		e.Return = relay.ReturnHeaders
	}
	return e
}

// permit decides what AUTH has to say about a MAIL. Who could not be heard for now and goes on as
// nobody would be told for good that nobody may relay.
func (t *transaction) permit() *relay.Reply {
	if t.s.unheard && t.s.origin.User == "" {
		return &replyUnheard
	}
	if t.s.listener.Auth == AuthRequired && t.s.origin.User == "" {
		return &replyNeedAuth
	}
	return t.s.server.users.Load().Mail(t.s.identity, t.sender)
}

// grant is the priority that the client may have. Anybody may let others go first; to go
// first takes a user, or a network that is trusted with it (RFC 6710 section 5.1).
func (t *transaction) grant(asked int8) int8 {
	if asked <= 0 || t.s.origin.User != "" || within(t.s.listener.MTPriority, t.s.origin.Client) {
		return asked
	}
	return 0
}

// Rcpt adds a recipient. The rates are asked first.
func (t *transaction) Rcpt(to string, opts *smtp.RcptOptions) error {
	address, refused := parsePath(to, t.utf8, &replyRecipient)
	if refused != nil {
		return refused
	}
	claimed, over := t.meterRecipient()
	if over != nil {
		return t.s.refuse("rcpt", over)
	}
	rcpt := relay.Recipient{Address: address, Notify: notify(opts.Notify)}
	if opts.OriginalRecipient != "" {
		rcpt.Original = string(opts.OriginalRecipientType) + ";" + opts.OriginalRecipient
	}
	if reply := t.relay.Rcpt(t.s.ctx, rcpt); reply != nil {
		t.s.server.meters.giveBack(claimed)
		return edge(reply)
	}
	t.recipients++
	return nil
}

// notify is NOTIFY in relay's words.
func notify(conditions []smtp.DSNNotify) relay.Notify {
	var set relay.Notify
	for _, c := range conditions {
		switch c {
		case smtp.DSNNotifyNever:
			set |= relay.NotifyNever
		case smtp.DSNNotifySuccess:
			set |= relay.NotifySuccess
		case smtp.DSNNotifyFailure:
			set |= relay.NotifyFailure
		case smtp.DSNNotifyDelayed:
			set |= relay.NotifyDelay
		}
	}
	return set
}

// Data takes the content and commits the message.
func (t *transaction) Data(r io.Reader) error {
	id, reply := t.relay.Data(t.s.ctx, r)
	t.forget()
	if reply != nil {
		return edge(reply)
	}
	t.messages++
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok: queued as " + id.String()}
}

// screen holds the message to what its user may send.
func (t *transaction) screen(m *relay.Message) *relay.Reply {
	if t.s.identity == nil {
		return nil
	}
	return t.s.server.users.Load().Header(t.s.identity, m.Fields("From"))
}

// Reset forgets the message begun, if any.
func (t *transaction) Reset() {
	t.relay.Reset()
	t.forget()
}

func (t *transaction) forget() {
	t.sender, t.utf8, t.priority, t.recipients = relay.Address{}, false, 0, 0
}

// Logout ends the session's mail. It has nothing that could fail.
func (t *transaction) Logout() error {
	t.Reset()
	return nil
}

// AuthMechanisms is what EHLO offers.
func (t *transaction) AuthMechanisms() []string {
	if !t.s.mayAuth() {
		return nil
	}
	return t.s.server.users.Load().Mechanisms()
}

// Auth begins an exchange.
func (t *transaction) Auth(mechanism string) (sasl.Server, error) {
	exchange, ok := t.s.server.users.Load().Begin(strings.ToUpper(mechanism), t.s.origin.Client, t.s.listener.Name)
	if !ok {
		return nil, &replyMechanism
	}
	return &login{t.s, exchange}, nil
}

// login is an exchange at whose end the session has a user.
type login struct {
	s        *session
	exchange *auth.Exchange
}

// Next implements sasl.Server.
func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, identity, reply := l.exchange.Next(l.s.ctx, response)
	switch {
	case reply != nil:
		return nil, true, l.fail(reply)
	case identity != nil:
		return nil, true, l.s.welcome(identity)
	}
	return challenge, false, nil
}

// fail reports who was not let in. A malformed exchange says nothing about anybody. A store that
// fails costs nobody what a certificate has proved.
func (l *login) fail(reply *relay.Reply) error {
	if reply.Reason == relay.ReasonCredentials {
		l.s.disown()
	}
	l.s.unheard = reply.Temporary()
	if reply.Reason != relay.ReasonProtocol {
		relay.Refuse(l.s.server.options.Observer, relay.Refused{Origin: l.s.origin, Stage: "auth", Login: l.exchange.User(), Reply: reply})
	}
	return edge(reply)
}
