package inbound

import (
	"errors"
	"strings"

	"postrider/relay"
)

// The replies of the edge itself.
var (
	replyReady         = relay.Reply{Code: 220, Enhanced: relay.EnhancedCode{2, 0, 0}, Text: "Ready to start TLS"}
	replyBye           = relay.Reply{Code: 221, Enhanced: relay.EnhancedCode{2, 0, 0}, Text: "Bye"}
	replyAuthenticated = relay.Reply{Code: 235, Enhanced: relay.EnhancedCode{2, 7, 0}, Text: "Authentication succeeded"}
	replyOk            = relay.Reply{Code: 250, Enhanced: relay.EnhancedCode{2, 0, 0}, Text: "Ok"}
	replyMore          = relay.Reply{Code: 250, Enhanced: relay.EnhancedCode{2, 0, 0}, Text: "Ok, more"}
	replySenderOk      = relay.Reply{Code: 250, Enhanced: relay.EnhancedCode{2, 1, 0}, Text: "Ok"}
	replyRecipientOk   = relay.Reply{Code: 250, Enhanced: relay.EnhancedCode{2, 1, 5}, Text: "Ok"}
	replyVerify        = relay.Reply{Code: 252, Enhanced: relay.EnhancedCode{2, 5, 0}, Text: "Cannot verify, will try to deliver"}
	replyGoAhead       = relay.Reply{Code: 354, Text: "End data with <CR><LF>.<CR><LF>"}
	replyTooBusy       = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many connections, try again later", Reason: relay.ReasonConnections}
	replyCrowded       = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many connections from your network, try again later", Reason: relay.ReasonConnectionsPerClient}
	replyBusyUser      = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many connections of this user, try again later", Reason: relay.ReasonConnectionsPerUser}
	replyEnough        = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many messages in this session, connect again", Reason: relay.ReasonMessagesPerConnection}
	replyRate          = relay.Reply{Code: 450, Enhanced: relay.EnhancedCode{4, 7, 1}, Text: "Too many messages, try again later"}
	replyRecipientRate = relay.Reply{Code: 452, Enhanced: relay.EnhancedCode{4, 7, 1}, Text: "Too many recipients, try again later"}
	replyErrors        = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many errors, closing connection", Reason: relay.ReasonErrors}
	replyIdle          = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 4, 2}, Text: "Timeout, closing connection", Reason: relay.ReasonIdle}
	replyDraining      = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 3, 2}, Text: "Service shutting down, try again later", Reason: relay.ReasonShutdown}
	replyUnknown       = relay.Reply{Code: 500, Enhanced: relay.EnhancedCode{5, 5, 2}, Text: "Command not recognized", Reason: relay.ReasonProtocol}
	replyLongLine      = relay.Reply{Code: 500, Enhanced: relay.EnhancedCode{5, 5, 2}, Text: "Command line too long", Reason: relay.ReasonCommandLength}
	replyBadBytes      = relay.Reply{Code: 500, Enhanced: relay.EnhancedCode{5, 5, 2}, Text: "Command has control characters or is not UTF-8", Reason: relay.ReasonProtocol}
	replySyntax        = relay.Reply{Code: 501, Enhanced: relay.EnhancedCode{5, 5, 4}, Text: "Syntax error in arguments", Reason: relay.ReasonProtocol}
	replyName          = relay.Reply{Code: 501, Enhanced: relay.EnhancedCode{5, 5, 4}, Text: "Need a host name or address literal", Reason: relay.ReasonProtocol}
	replySender        = relay.Reply{Code: 501, Enhanced: relay.EnhancedCode{5, 1, 7}, Text: "Bad sender address syntax", Reason: relay.ReasonProtocol}
	replyRecipient     = relay.Reply{Code: 501, Enhanced: relay.EnhancedCode{5, 1, 3}, Text: "Bad recipient address syntax", Reason: relay.ReasonProtocol}
	replyBase64        = relay.Reply{Code: 501, Enhanced: relay.EnhancedCode{5, 5, 2}, Text: "Malformed authentication data", Reason: relay.ReasonProtocol}
	replyCancelled     = relay.Reply{Code: 501, Enhanced: relay.EnhancedCode{5, 0, 0}, Text: "Negotiation cancelled", Reason: relay.ReasonProtocol}
	replyNotHere       = relay.Reply{Code: 502, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "Command not implemented", Reason: relay.ReasonProtocol}
	replyNoTLS         = relay.Reply{Code: 502, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "TLS is not available here", Reason: relay.ReasonProtocol}
	replyNoAuth        = relay.Reply{Code: 502, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "Authentication is not available here", Reason: relay.ReasonProtocol}
	replyNoGreeting    = relay.Reply{Code: 503, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "Send EHLO first", Reason: relay.ReasonProtocol}
	replyNested        = relay.Reply{Code: 503, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "Nested MAIL command", Reason: relay.ReasonProtocol}
	replyNoMail        = relay.Reply{Code: 503, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "Need MAIL command first", Reason: relay.ReasonProtocol}
	replyNoRcpt        = relay.Reply{Code: 503, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "Need RCPT command first", Reason: relay.ReasonProtocol}
	replyInMail        = relay.Reply{Code: 503, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "Not allowed inside a mail transaction", Reason: relay.ReasonProtocol}
	replyInBDAT        = relay.Reply{Code: 503, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "Not allowed between BDAT chunks", Reason: relay.ReasonProtocol}
	replyAgain         = relay.Reply{Code: 503, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "Already authenticated", Reason: relay.ReasonProtocol}
	replyMechanism     = relay.Reply{Code: 504, Enhanced: relay.EnhancedCode{5, 5, 4}, Text: "Authentication mechanism not supported", Reason: relay.ReasonProtocol}
	replyNeedAuth      = relay.Reply{Code: 530, Enhanced: relay.EnhancedCode{5, 7, 0}, Text: "Authentication required", Reason: relay.ReasonAuth}
	replyRequireTLS    = relay.Reply{Code: 530, Enhanced: relay.EnhancedCode{5, 7, 10}, Text: "REQUIRETLS is for TLS sessions only", Reason: relay.ReasonTLS}
	replyNeedTLS       = relay.Reply{Code: 538, Enhanced: relay.EnhancedCode{5, 7, 11}, Text: "Encryption required for authentication", Reason: relay.ReasonTLS}
	replyNoXClient     = relay.Reply{Code: 550, Enhanced: relay.EnhancedCode{5, 7, 0}, Text: "Not allowed to speak for other clients", Reason: relay.ReasonAccess}
	replyNotASCII      = relay.Reply{Code: 553, Enhanced: relay.EnhancedCode{5, 6, 7}, Text: "Address needs SMTPUTF8", Reason: relay.ReasonProtocol}
	replyPipelining    = relay.Reply{Code: 554, Enhanced: relay.EnhancedCode{5, 5, 0}, Text: "Improper command pipelining", Reason: relay.ReasonProtocol}
	replyEarly         = relay.Reply{Code: 554, Enhanced: relay.EnhancedCode{5, 5, 0}, Text: "Client spoke before the greeting", Reason: relay.ReasonProtocol}
	replyNoValidRcpt   = relay.Reply{Code: 554, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "No valid recipients", Reason: relay.ReasonProtocol}
	replyHTTP          = relay.Reply{Code: 554, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "This is not an HTTP server", Reason: relay.ReasonProtocol}
	replyTLSAgain      = relay.Reply{Code: 554, Enhanced: relay.EnhancedCode{5, 5, 1}, Text: "TLS is active already", Reason: relay.ReasonProtocol}
	replyProxy         = relay.Reply{Code: 554, Enhanced: relay.EnhancedCode{5, 5, 0}, Text: "Malformed PROXY header", Reason: relay.ReasonProtocol}
	replyHandshake     = relay.Reply{Code: 554, Enhanced: relay.EnhancedCode{5, 7, 5}, Text: "TLS handshake failed", Reason: relay.ReasonTLS}
	replyParameter     = relay.Reply{Code: 555, Enhanced: relay.EnhancedCode{5, 5, 4}, Text: "Parameter not recognized or not implemented", Reason: relay.ReasonProtocol}
)

// longestText keeps a reply line within RFC 5321 section 4.5.3.1.5, codes included.
const longestText = 480

// asReply finds the reply in an error. What is none is a failure of ours: temporary, with
// a fixed text (conformance I20).
func asReply(err error) *relay.Reply {
	reply, ok := errors.AsType[*relay.Reply](err)
	if !ok || reply.Code < 200 || reply.Code > 599 {
		return relay.LocalError(err)
	}
	return reply
}

// public keeps a text on one line of the protocol.
func public(text string) string {
	if len(text) <= longestText && isASCII(text) && isText(text) {
		return text
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return text[:min(len(text), longestText)]
}
