package auth

import (
	"errors"

	"postrider/relay"
)

// The replies that are about authentication (RFC 4954 section 6).
var (
	replyNetworkOver = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many authentication failures from your network, try again later", Reason: relay.ReasonAuthFailures}
	replyFailed      = relay.Reply{Code: 454, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Temporary authentication failure", Reason: relay.ReasonLocal}
	replyUserOver    = relay.Reply{Code: 454, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many authentication failures for this user, try again later", Reason: relay.ReasonAuthFailures}
	replyMalformed   = relay.Reply{Code: 501, Enhanced: relay.EnhancedCode{5, 5, 2}, Text: "Malformed authentication data", Reason: relay.ReasonProtocol}
	replyCredentials = relay.Reply{Code: 535, Enhanced: relay.EnhancedCode{5, 7, 8}, Text: "Authentication failed", Reason: relay.ReasonCredentials}
	replyFrom        = relay.Reply{Code: 550, Enhanced: relay.EnhancedCode{5, 7, 1}, Text: "From address not allowed for this user", Reason: relay.ReasonSender}
	replySender      = relay.Reply{Code: 553, Enhanced: relay.EnhancedCode{5, 7, 1}, Text: "Sender address not allowed for this user", Reason: relay.ReasonSender}
)

// errMalformed says that the client's side of an exchange makes no sense.
var errMalformed = errors.New("malformed SASL response")

// asReply gives the reply to an attempt's error. What is no clear no is a failure of ours:
// the client must not take it for a wrong password (conformance I17).
func asReply(err error) *relay.Reply {
	if reply, ok := errors.AsType[*relay.Reply](err); ok {
		return reply
	}
	switch {
	case errors.Is(err, ErrCredentials):
		return replyCredentials.Because(err)
	case errors.Is(err, errMalformed):
		return replyMalformed.Because(err)
	}
	return replyFailed.Because(err)
}
