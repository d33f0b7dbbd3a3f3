package main

import (
	"github.com/rs/zerolog"

	"postrider/relay"
)

// logObserver writes one line for each business fact.
type logObserver struct{ log zerolog.Logger }

var _ relay.Observer = logObserver{}

// Accepted logs a message that was committed.
func (o logObserver) Accepted(e relay.Accepted) {
	m, line := e.Message, o.log.Info()
	if !line.Enabled() { // to find the Message-ID takes a moment
		return
	}
	line.Stringer("id", m.ID).Stringer("from", m.Envelope.Sender).
		Int("recipients", len(m.Envelope.Recipients)).Int64("size", m.Size).
		Str("message_id", m.Field("Message-ID")).
		Str("listener", m.Origin.Listener).Str("user", m.Origin.User).
		Dur("commit_ms", e.Commit)
	if m.Origin.Client.IsValid() {
		line.Stringer("client", m.Origin.Client)
	}
	if rules := matched(m.Trace); len(rules) > 0 {
		line.Strs("rules", rules)
	}
	if e.Unsigned != nil {
		line.AnErr("unsigned", e.Unsigned)
	}
	line.Msg("accepted")
}

// matched are the rules that did something, or would have.
func matched(trace []relay.Verdict) []string {
	var rules []string
	for _, v := range trace {
		if v.Said != "" {
			rules = append(rules, v.Rule+": "+v.Said)
		}
	}
	return rules
}

// Refused logs a refusal; one that is our own fault as an error.
func (o logObserver) Refused(e relay.Refused) {
	line := o.log.Info()
	if e.Reason == relay.ReasonLocal || e.Reason == relay.ReasonStorage {
		line = o.log.Error()
	}
	if e.Login != "" {
		line.Str("login", e.Login)
	}
	line.Str("stage", e.Stage).Str("reason", string(e.Reason)).Str("listener", e.Origin.Listener).Str("user", e.Origin.User).
		Stringer("from", e.Sender).Stringer("to", e.Recipient)
	if e.Origin.Client.IsValid() {
		line.Stringer("client", e.Origin.Client)
	}
	reply(line, *e.Reply)
	line.Msg("refused")
}

// Attempted logs the fate of each recipient, with the delays in milliseconds.
func (o logObserver) Attempted(e relay.Attempted) {
	for _, outcome := range e.Outcomes {
		line := o.log.Info().Stringer("id", e.Delivery.Message)
		if e.Message != nil {
			line.Stringer("from", e.Message.Envelope.Sender)
		}
		line.Stringer("to", outcome.Recipient.Address).Stringer("dest", e.Delivery.To).
			Str("host", outcome.Host).
			Int("attempt", e.Delivery.Attempts+1).
			Dur("queue_ms", e.Queue).Dur("connect_ms", e.Connect).Dur("transmit_ms", e.Transmit)
		if outcome.Host == e.Host {
			line.Str("addr", e.Addr).Str("tls", e.TLS)
		}
		reply(line, outcome.Reply)
		if outcome.Status == relay.Deferred {
			line.Time("due", e.Due)
		}
		if e.Ambiguous {
			line.Bool("possibly_delivered", true)
		}
		line.Msg(outcome.Status.String())
	}
}

// Notified logs a notice to a sender.
func (o logObserver) Notified(e relay.Notified) {
	line := o.log.Info().Stringer("id", e.About).Stringer("to", e.To).Stringer("status", e.Status)
	if e.Dropped {
		line.Msg("notice dropped: the message has no sender")
		return
	}
	line.Stringer("notice", e.Notice).Msg("notified")
}

// Held logs that mail is kept, and why.
func (o logObserver) Held(e relay.Held) {
	for _, k := range e.Delivery.Recipients {
		line := o.log.Info().Stringer("id", e.Delivery.Message).Stringer("from", e.Message.Envelope.Sender).
			Stringer("to", e.Message.Envelope.Recipients[k].Address).Stringer("dest", e.Delivery.To).Str("reason", e.Delivery.Held)
		if e.Operator != "" {
			line.Str("author", e.Operator)
		}
		line.Msg("held")
	}
}

// Gated logs that the way to a destination or site closed or opened.
func (o logObserver) Gated(e relay.Gated) {
	if !e.Closed {
		o.log.Info().Str("site", e.Name).Msg("reachable again")
		return
	}
	line := o.log.Warn().Str("site", e.Name).Time("probe", e.Until)
	reply(line, e.Reply)
	line.Msg("unreachable")
}

// Faulted logs a failure of ours.
func (o logObserver) Faulted(e relay.Fault) {
	line := o.log.Error().Str("doing", e.Doing).Err(e.Err)
	if e.Message != (relay.ID{}) {
		line.Stringer("id", e.Message)
	}
	line.Msg("fault")
}

func reply(line *zerolog.Event, r relay.Reply) {
	line.Int("code", r.Code).Str("enhanced", r.Enhanced.String()).Str("reply", r.Text)
	if r.Err != nil {
		line.AnErr("cause", r.Err)
	}
}
