package inbound

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"postrider/inbound/auth"
)

// Limits bound what clients can take from us. A zero limit means its default.
type Limits struct {
	// MessageSize is the largest message, in bytes. 50 MB by default.
	MessageSize int64
	// Recipients is the most recipients of one message. 1000 by default.
	Recipients int
	// Connections is the most sessions at once. That of the Options is over all listeners.
	// 1000 by default.
	Connections int
	// ConnectionsPerClient is the most sessions of one client network: an IPv4 address or
	// an IPv6 /64. 200 by default. Unix sockets are not held to it.
	ConnectionsPerClient int
	// ConnectionsPerUser is the most sessions of one authenticated user. No limit by default.
	ConnectionsPerUser int
	// MessagesPerConnection is how many messages a session may send. No limit by default.
	MessagesPerConnection int
	// Errors is how many refused commands end a session. 20 by default.
	Errors int
	// Commands is how many commands that bring no message nearer (EHLO, NOOP, RSET, VRFY) a
	// session may give from one message to the next. 100 by default.
	Commands int
	// CommandLength is the longest command line with its line end, in bytes. 4096 by default.
	CommandLength int
	// Idle is the longest wait for a command, and for the next bytes of a message. 5
	// minutes by default (RFC 5321 section 4.5.3.2.7).
	Idle time.Duration
	// DataMinRate is the least average rate of a message's content, in bytes per second,
	// after a first Idle. 1000 by default.
	DataMinRate int64
	// DataTotal is the longest time from DATA to the final dot. 1 hour by default.
	DataTotal time.Duration
	// The rates bound messages, and recipients, of a client network, an authenticated user
	// and a sender address. No limit by default; a negative one lifts that of the Options.
	RatePerClient, RatePerUser, RatePerSender                            auth.Rate
	RecipientRatePerClient, RecipientRatePerUser, RecipientRatePerSender auth.Rate
}

func defaultLimits() Limits {
	return Limits{
		MessageSize: 50_000_000, Recipients: 1000, Connections: 1000, ConnectionsPerClient: 200,
		Errors: 20, Commands: 100, CommandLength: 4096, Idle: 5 * time.Minute, DataMinRate: 1000, DataTotal: time.Hour,
	}
}

// or fills in what is zero.
func (l Limits) or(other Limits) Limits {
	l.MessageSize = cmp.Or(l.MessageSize, other.MessageSize)
	l.Recipients = cmp.Or(l.Recipients, other.Recipients)
	l.Connections = cmp.Or(l.Connections, other.Connections)
	l.ConnectionsPerClient = cmp.Or(l.ConnectionsPerClient, other.ConnectionsPerClient)
	l.ConnectionsPerUser = cmp.Or(l.ConnectionsPerUser, other.ConnectionsPerUser)
	l.MessagesPerConnection = cmp.Or(l.MessagesPerConnection, other.MessagesPerConnection)
	l.Errors = cmp.Or(l.Errors, other.Errors)
	l.Commands = cmp.Or(l.Commands, other.Commands)
	l.CommandLength = cmp.Or(l.CommandLength, other.CommandLength)
	l.Idle = cmp.Or(l.Idle, other.Idle)
	l.DataMinRate = cmp.Or(l.DataMinRate, other.DataMinRate)
	l.DataTotal = cmp.Or(l.DataTotal, other.DataTotal)
	l.RatePerClient = cmp.Or(l.RatePerClient, other.RatePerClient)
	l.RatePerUser = cmp.Or(l.RatePerUser, other.RatePerUser)
	l.RatePerSender = cmp.Or(l.RatePerSender, other.RatePerSender)
	l.RecipientRatePerClient = cmp.Or(l.RecipientRatePerClient, other.RecipientRatePerClient)
	l.RecipientRatePerUser = cmp.Or(l.RecipientRatePerUser, other.RecipientRatePerUser)
	l.RecipientRatePerSender = cmp.Or(l.RecipientRatePerSender, other.RecipientRatePerSender)
	return l
}

func (l Limits) validate() error {
	l = l.or(defaultLimits())
	least := min(l.MessageSize, int64(l.Recipients), int64(l.Connections), int64(l.ConnectionsPerClient),
		int64(l.ConnectionsPerUser), int64(l.MessagesPerConnection), int64(l.Errors), int64(l.Commands), int64(l.Idle), l.DataMinRate, int64(l.DataTotal))
	if least < 0 {
		return errors.New("a limit is negative")
	}
	// RFC 5321 section 4.5.3.1.4, and room in the buffer that commands are read from.
	if l.CommandLength < 512 || l.CommandLength > bufferSize {
		return fmt.Errorf("command length %d: must be from 512 to %d", l.CommandLength, bufferSize)
	}
	return nil
}
