package relay

// Reason is why a client was refused, in a word of a small fixed vocabulary: the label of
// metrics and the field of logs. Several replies may share one.
type Reason string

// The reasons. Those of limits are named after the key that sets the limit. What has no
// reason of its own was refused by a rule: ReasonPolicy.
const (
	// ReasonConnections, ReasonConnectionsPerClient and ReasonConnectionsPerUser are the
	// limits of sessions at once.
	ReasonConnections          Reason = "connections"
	ReasonConnectionsPerClient Reason = "connections_per_client"
	ReasonConnectionsPerUser   Reason = "connections_per_user"
	// ReasonMessagesPerConnection is the limit of messages in a session.
	ReasonMessagesPerConnection Reason = "messages_per_connection"
	// The rates are of messages, and of recipients. A sender's are asked at the rcpt stage, too.
	ReasonRatePerClient Reason = "rate_per_client"
	ReasonRatePerUser   Reason = "rate_per_user"
	ReasonRatePerSender Reason = "rate_per_sender"

	ReasonRecipientRatePerClient Reason = "recipient_rate_per_client"
	ReasonRecipientRatePerUser   Reason = "recipient_rate_per_user"
	ReasonRecipientRatePerSender Reason = "recipient_rate_per_sender"
	// ReasonRate is a rule's rate.
	ReasonRate Reason = "rate"
	// ReasonRecipients is the limit of recipients of a message.
	ReasonRecipients Reason = "recipients"
	// ReasonSize is the limit of a message's size, its header section's included.
	ReasonSize Reason = "size"
	// ReasonErrors is the limit of refused commands in a session, ReasonCommands that of commands
	// without a message, ReasonCommandLength that of a command line.
	ReasonErrors        Reason = "errors"
	ReasonCommands      Reason = "commands"
	ReasonCommandLength Reason = "command_length"
	// ReasonIdle is a client that sends nothing, ReasonDataRate one whose message comes too slowly,
	// ReasonDataTotal one whose message takes too long in all.
	ReasonIdle      Reason = "idle"
	ReasonDataRate  Reason = "data_rate"
	ReasonDataTotal Reason = "data_total"
	// ReasonAuthFailures is the limit of failed attempts to authenticate, ReasonCredentials
	// one such attempt.
	ReasonAuthFailures Reason = "auth_failures"
	ReasonCredentials  Reason = "credentials"
	// ReasonAuth is mail of nobody where AUTH is required, ReasonSender mail in a name
	// that the user may not use.
	ReasonAuth   Reason = "auth"
	ReasonSender Reason = "sender"
	// ReasonTLS is a handshake that failed, or a want of TLS.
	ReasonTLS Reason = "tls"
	// ReasonAccess is a client that may not relay, ReasonRoute a recipient that no route
	// takes.
	ReasonAccess Reason = "access"
	ReasonRoute  Reason = "route"
	// ReasonSuppressed is a recipient on the suppression list.
	ReasonSuppressed Reason = "suppressed"
	// ReasonPolicy is a rule's refusal.
	ReasonPolicy Reason = "policy"
	// ReasonHops is a message that loops, ReasonContent one that is malformed.
	ReasonHops    Reason = "hops"
	ReasonContent Reason = "content"
	// ReasonAborted is a client that went away, or gave up, inside a message.
	ReasonAborted Reason = "aborted"
	// ReasonProtocol is a client that breaks the rules of the protocol.
	ReasonProtocol Reason = "protocol"
	// ReasonStorage is a disk without room, ReasonLocal another fault of ours.
	ReasonStorage Reason = "storage"
	ReasonLocal   Reason = "local"
	// ReasonShutdown is a client that comes as we stop.
	ReasonShutdown Reason = "shutdown"
)

// Reasons lists the vocabulary.
func Reasons() []Reason {
	return []Reason{
		ReasonConnections, ReasonConnectionsPerClient, ReasonConnectionsPerUser, ReasonMessagesPerConnection,
		ReasonRatePerClient, ReasonRatePerUser, ReasonRatePerSender, ReasonRecipientRatePerClient,
		ReasonRecipientRatePerUser, ReasonRecipientRatePerSender, ReasonRate, ReasonRecipients, ReasonSize,
		ReasonErrors, ReasonCommands, ReasonCommandLength, ReasonIdle, ReasonDataRate, ReasonDataTotal, ReasonAuthFailures, ReasonCredentials, ReasonAuth,
		ReasonSender, ReasonTLS, ReasonAccess, ReasonRoute, ReasonSuppressed, ReasonPolicy, ReasonHops, ReasonContent, ReasonAborted,
		ReasonProtocol, ReasonStorage, ReasonLocal, ReasonShutdown,
	}
}

// For returns a copy of the reply with the reason why it refuses.
func (r Reply) For(reason Reason) *Reply {
	r.Reason = reason
	return &r
}

// Refuse tells the observer of a refusal, with the reply's reason.
func Refuse(o Observer, e Refused) {
	if e.Reason = e.Reply.Reason; e.Reason == "" {
		e.Reason = ReasonPolicy
	}
	o.Refused(e)
}
