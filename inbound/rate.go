package inbound

import (
	"cmp"
	"fmt"
	"slices"
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

// What is measured.
const (
	messages   = "messages"
	recipients = "recipients"
)

// reasons are why there may be no room for a claim of the client and of the user.
type reasons struct{ client, user relay.Reason }

var (
	messageReasons   = reasons{relay.ReasonRatePerClient, relay.ReasonRatePerUser}
	recipientReasons = reasons{relay.ReasonRecipientRatePerClient, relay.ReasonRecipientRatePerUser}
)

// claims are what a session's next message, or recipient, is measured as.
func (t *transaction) claims(what string, client, user auth.Rate, why reasons) []claim {
	var claims []claim
	if network := networkOf(t.s.origin.Client); client.N > 0 && network.IsValid() {
		claims = append(claims, claim{meter{what: what + " of client", network: network}, client, why.client, t.account()})
	}
	if t.s.origin.User != "" && user.N > 0 {
		claims = append(claims, claim{meter{what: what + " of user", name: t.s.origin.User}, user, why.user, t.account()})
	}
	return claims
}

// ofSender are claims in the sender's name.
func (t *transaction) ofSender(what string, rate auth.Rate, reason relay.Reason) []claim {
	from := t.sender
	if rate.N <= 0 || from.IsNull() {
		return nil
	}
	return []claim{{meter{what: what + " of sender", name: strings.ToLower(from.String())}, rate, reason, t.account()}}
}

// own is what the session's user has been given; it comes before what all users have.
func (t *transaction) own() auth.Identity {
	if t.s.identity == nil {
		return auth.Identity{}
	}
	return *t.s.identity
}

// meterMessage counts a message, or says why there cannot be one now. Mail over a rate
// waits at the client; it is never lost. A sender's message is counted with its first recipient, and
// here only has to have room. What was claimed is given back for a message that is not begun after all.
func (t *transaction) meterMessage() (claimed []claim, refused *relay.Reply) {
	l := &t.s.limits
	claimed = t.claims(messages, l.RatePerClient, cmp.Or(t.own().Rate, l.RatePerUser), messageReasons)
	over := t.s.server.meters.take(claimed, t.ofSender(messages, l.RatePerSender, relay.ReasonRatePerSender)...)
	return claimed, over.reply()
}

// meterRecipient counts a recipient, or says why the message cannot have one more now. What was claimed in
// the sender's name is returned, and given back for a recipient that is refused: who may not relay must
// not use up what others may send in their own name.
func (t *transaction) meterRecipient() (sender []claim, refused *relay.Reply) {
	l := &t.s.limits
	sender = t.ofSender(recipients, l.RecipientRatePerSender, relay.ReasonRecipientRatePerSender)
	if t.recipients == 0 {
		sender = append(sender, t.ofSender(messages, l.RatePerSender, relay.ReasonRatePerSender)...)
	}
	claims := t.claims(recipients, l.RecipientRatePerClient, cmp.Or(t.own().Quota, l.RecipientRatePerUser), recipientReasons)
	over := t.s.server.meters.take(slices.Concat(claims, sender))
	return sender, over.reply()
}

// reply says that there is no room for the claim; there is room for nil.
func (c *claim) reply() *relay.Reply {
	if c == nil {
		return nil
	}
	reply := replyRecipientRate
	if strings.HasPrefix(c.meter.what, messages) {
		reply = replyRate
	}
	return reply.For(c.reason).Because(fmt.Errorf("over the rate of %s for %s", c.rate, c.meter.what))
}
