package inbound

import (
	"github.com/emersion/go-smtp"

	"postrider/relay"
)

// The refusals that the observer is told of, with their reasons.
var (
	replyTooBusy       = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many connections, try again later", Reason: relay.ReasonConnections}
	replyCrowded       = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many connections from your network, try again later", Reason: relay.ReasonConnectionsPerClient}
	replyBusyUser      = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many connections of this user, try again later", Reason: relay.ReasonConnectionsPerUser}
	replyEnough        = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many messages in this session, connect again", Reason: relay.ReasonMessagesPerConnection}
	replyRate          = relay.Reply{Code: 450, Enhanced: relay.EnhancedCode{4, 7, 1}, Text: "Too many messages, try again later"}
	replyRecipientRate = relay.Reply{Code: 452, Enhanced: relay.EnhancedCode{4, 7, 1}, Text: "Too many recipients, try again later"}
	replyErrors        = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many errors, closing connection", Reason: relay.ReasonErrors}
	replyCommands      = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Too many commands without a message, closing connection", Reason: relay.ReasonCommands}
	replyIdle          = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 4, 2}, Text: "Timeout, closing connection", Reason: relay.ReasonIdle}
	replyDataRate      = replyIdle.For(relay.ReasonDataRate)
	replyDataTotal     = replyIdle.For(relay.ReasonDataTotal)
	replyDraining      = relay.Reply{Code: 421, Enhanced: relay.EnhancedCode{4, 3, 2}, Text: "Service shutting down, try again later", Reason: relay.ReasonShutdown}
	replyAborted       = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 4, 2}, Text: "Message not received to its end", Reason: relay.ReasonAborted}
	replyLongLine      = relay.Reply{Code: 500, Enhanced: relay.EnhancedCode{5, 5, 2}, Text: "Command line too long", Reason: relay.ReasonCommandLength}
	replyUnheard       = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 7, 0}, Text: "Not authenticated, which failed for now, try again later", Reason: relay.ReasonAuth}
	replyNeedAuth      = relay.Reply{Code: 530, Enhanced: relay.EnhancedCode{5, 7, 0}, Text: "Authentication required", Reason: relay.ReasonAuth}
	replyProxy         = relay.Reply{Code: 554, Enhanced: relay.EnhancedCode{5, 5, 0}, Text: "Malformed PROXY header", Reason: relay.ReasonProtocol}
	replyHandshake     = relay.Reply{Code: 554, Enhanced: relay.EnhancedCode{5, 7, 5}, Text: "TLS handshake failed", Reason: relay.ReasonTLS}
)

// observe reports a refusal of the edge's own.
func (s *session) observe(stage string, reply *relay.Reply) {
	relay.Refuse(s.server.options.Observer, relay.Refused{
		Origin: s.origin, Stage: stage, Sender: s.mail.sender, Reply: reply,
	})
}

// refuse reports a refusal and puts it in go-smtp's terms.
func (s *session) refuse(stage string, reply *relay.Reply) *smtp.SMTPError {
	s.observe(stage, reply)
	return edge(reply)
}
