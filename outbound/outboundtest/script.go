package outboundtest

import (
	"crypto/tls"
	"strings"
	"time"
)

// Script is how a Peer behaves. The zero value is a well-behaved server that offers
// DefaultExtensions.
type Script struct {
	// Listen is the address to listen on. Default "127.0.0.1:0". Peers on 127.0.0.2,
	// 127.0.0.3 and so on can share a port. "unix:/path" is a Unix socket.
	Listen string
	// Hostname is the name in the greeting and the EHLO reply. Default "peer.test".
	Hostname string
	// Extensions are the lines of the EHLO reply. Default: DefaultExtensions; empty and
	// not nil for none.
	Extensions []string
	// TLS, when set, offers STARTTLS.
	TLS *tls.Config
	// ImplicitTLS speaks TLS from the start instead.
	ImplicitTLS bool
	// Users, when set, offers AUTH PLAIN and LOGIN with these users and passwords, also in clear.
	Users map[string]string
	// Mechanisms are what AUTH offers. Default: PLAIN and LOGIN where there are Users.
	Mechanisms []string
	// Token, when set, judges the user and access token of XOAUTH2 and OAUTHBEARER.
	Token func(user, token string) bool
	// Impostor makes a SCRAM server that does not know the password and accepts it all the same.
	Impostor bool
	// On is asked at each event what to do; nil, and the zero Action, mean what a
	// well-behaved server does. It is called from the sessions' goroutines.
	On func(Event) Action
	// Forget keeps counts, but no message text and no command lines: for load.
	Forget bool
}

// DefaultExtensions are what a Peer offers where its script does not say.
var DefaultExtensions = []string{"PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"}

// Phase is a place in a session where a script can act.
type Phase string

// The phases. Each is named after the command it answers, but for four.
const (
	Greeting Phase = "greeting" // the connection has been opened
	EHLO     Phase = "EHLO"
	HELO     Phase = "HELO"
	STARTTLS Phase = "STARTTLS"
	AUTH     Phase = "AUTH"
	MAIL     Phase = "MAIL"
	RCPT     Phase = "RCPT"
	DATA     Phase = "DATA"
	Body     Phase = "body" // the 354 has been sent, nothing of the message has been read
	Dot      Phase = "dot"  // the message has been read whole
	BDAT     Phase = "BDAT" // the chunk has been read
	RSET     Phase = "RSET"
	NOOP     Phase = "NOOP"
	QUIT     Phase = "QUIT"
	Unknown  Phase = "unknown" // any other command
)

// Event is what a script is asked about.
type Event struct {
	Phase Phase
	// Line is the command as it was sent, without its line end; "" where there is none.
	Line string
	// Session counts the peer's sessions from 1.
	Session int
	// N counts the events of this phase in this session from 1.
	N int
	// Recipients are those accepted so far in the transaction.
	Recipients []string
}

// Action is what a peer does at an event. The zero Action is what a well-behaved server does.
type Action struct {
	// Reply is sent instead of the usual reply. It is sent as it stands where it ends in a
	// line feed, which garbage can do; otherwise CRLF is added. Lines are separated by CRLF.
	Reply string
	// Wait holds the reply until the channel is closed or the peer ends.
	Wait <-chan struct{}
	// Delay holds the reply for a time.
	Delay time.Duration
	// Trickle sends the reply a byte at a time with this pause before each.
	Trickle time.Duration
	// Hang stops reading and answering; the connection stays open until the peer ends.
	Hang bool
	// Drop closes the connection, after Reply where there is one. The usual reply is not sent.
	Drop bool
	// After is how much of the message is read before Reply and Hang or Drop; only at Body.
	After int
}

// Answer returns an On that gives replies by the beginning of the command line, or by the
// name of the phase. The longest beginning that fits decides; letter case counts.
func Answer(replies map[string]string) func(Event) Action {
	return func(e Event) Action {
		best, found := "", false
		for prefix := range replies {
			fits := e.Line != "" && strings.HasPrefix(e.Line, prefix) || prefix == string(e.Phase)
			if fits && len(prefix) >= len(best) {
				best, found = prefix, true
			}
		}
		if !found {
			return Action{}
		}
		return Action{Reply: replies[best]}
	}
}

// At returns an On that does the action at each event of the phase.
func At(phase Phase, a Action) func(Event) Action {
	return func(e Event) Action {
		if e.Phase == phase {
			return a
		}
		return Action{}
	}
}
