package inbound

import (
	"cmp"
	"fmt"
	"strings"

	"postrider/inbound/auth"
	"postrider/relay"
)

// account is who answers for what the session makes us remember. A network here is wider
// than what one client is taken to own: who has one address may well have its neighbours.
func (t *transaction) account() account {
	client := t.s.origin.Client
	switch user := t.s.origin.User; {
	case user != "":
		return account{user: user}
	case !client.IsValid():
		return account{}
	}
	bits := 24
	if client.Is6() {
		bits = 48
	}
	network, _ := client.Prefix(bits) // an address that is valid has one
	return account{network: network}
}

// claims are what a session's next message, or recipient, is measured as.
func (t *transaction) claims(what string, client, user auth.Rate) []claim {
	var claims []claim
	if network := networkOf(t.s.origin.Client); client.N > 0 && network.IsValid() {
		claims = append(claims, claim{meter{what: what + " of client", network: network}, client, relay.ReasonRatePerClient, t.account()})
	}
	if t.s.origin.User != "" && user.N > 0 {
		claims = append(claims, claim{meter{what: what + " of user", name: t.s.origin.User}, user, relay.ReasonRatePerUser, t.account()})
	}
	return claims
}

// ofSender are made when a recipient has been accepted: who may not relay must not use up what
// others may send in their own name.
func (t *transaction) ofSender(what string, rate auth.Rate) []claim {
	from := t.sender
	if rate.N <= 0 || from.IsNull() {
		return nil
	}
	return []claim{{meter{what: what + " of sender", name: strings.ToLower(from.String())}, rate, relay.ReasonRatePerSender, t.account()}}
}

// meterSender measures an accepted recipient, and the message with its first one.
func (t *transaction) meterSender() {
	l, m := &t.s.limits, t.s.server.meters
	m.makeLater(t.ofSender("recipients", l.RecipientRatePerSender))
	if t.recipients == 0 {
		m.makeLater(t.ofSender("messages", l.RatePerSender))
	}
}

// own is what the session's user has been given; it comes before what all users have.
func (t *transaction) own() auth.Identity {
	if t.s.identity == nil {
		return auth.Identity{}
	}
	return *t.s.identity
}

// meterMessage counts a message, or says why there cannot be one now. Mail over a rate
// waits at the client; it is never lost.
func (t *transaction) meterMessage() *relay.Reply {
	l := &t.s.limits
	own := t.own()
	over := t.s.server.meters.take(t.claims("messages", l.RatePerClient, cmp.Or(own.Rate, l.RatePerUser)), t.ofSender("messages", l.RatePerSender)...)
	return over.reply(&replyRate)
}

// meterRecipient counts a recipient, or says why the message cannot have one more now.
func (t *transaction) meterRecipient() *relay.Reply {
	l := &t.s.limits
	own := t.own()
	over := t.s.server.meters.take(t.claims("recipients", l.RecipientRatePerClient, cmp.Or(own.Quota, l.RecipientRatePerUser)), t.ofSender("recipients", l.RecipientRatePerSender)...)
	return over.reply(&replyRecipientRate)
}

// reply says that there is no room for the claim; there is room for nil.
func (c *claim) reply(reply *relay.Reply) *relay.Reply {
	if c == nil {
		return nil
	}
	return reply.For(c.reason).Because(fmt.Errorf("over the rate of %s for %s", c.rate, c.meter.what))
}
