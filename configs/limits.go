package configs

import (
	"time"

	"postrider/inbound"
	"postrider/inbound/auth"
	"postrider/relay"
	"postrider/spool"
)

// limits is what clients can take from us: of the whole relay, or in place of that at
// one listener, where hops and min_free make no sense.
type limits struct {
	MessageSize            size     `yaml:"message_size"`
	Recipients             int      `yaml:"recipients"`
	Hops                   int      `yaml:"hops"`
	Connections            int      `yaml:"connections"`
	ConnectionsPerClient   int      `yaml:"connections_per_client"`
	ConnectionsPerUser     int      `yaml:"connections_per_user"`
	MessagesPerConnection  int      `yaml:"messages_per_connection"`
	RatePerClient          rate     `yaml:"rate_per_client"`
	RatePerUser            rate     `yaml:"rate_per_user"`
	RatePerSender          rate     `yaml:"rate_per_sender"`
	RecipientRatePerClient rate     `yaml:"recipient_rate_per_client"`
	RecipientRatePerUser   rate     `yaml:"recipient_rate_per_user"`
	RecipientRatePerSender rate     `yaml:"recipient_rate_per_sender"`
	AuthFailures           rate     `yaml:"auth_failures"`
	Errors                 int      `yaml:"errors"`
	Commands               int      `yaml:"commands"`
	CommandLength          size     `yaml:"command_length"`
	Idle                   duration `yaml:"idle"`
	DataRate               size     `yaml:"data_rate"`
	DataTotal              duration `yaml:"data_total"`
	MinFree                size     `yaml:"min_free"`
}

func defaultLimits() limits {
	off := rate{N: -1}
	return limits{
		MessageSize: 50e6, Recipients: relay.DefaultRecipients, Hops: relay.DefaultHops,
		Connections: 1000, ConnectionsPerClient: 200,
		RatePerClient: off, RatePerUser: off, RatePerSender: off,
		RecipientRatePerClient: off, RecipientRatePerUser: off, RecipientRatePerSender: off,
		AuthFailures: rate(auth.DefaultFailures()), Errors: 20, Commands: 100, CommandLength: 4096,
		Idle: duration(5 * time.Minute), DataRate: 1000, DataTotal: duration(time.Hour), MinFree: spool.DefaultMinFree,
	}
}

// rate is how many of something there may be in a time, such as 1000/1h, or off.
type rate auth.Rate

// UnmarshalText reads what the users file does, and off.
func (r *rate) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*r = rate{N: -1}
		return nil
	}
	parsed, err := auth.ParseRate(string(text))
	*r = rate(parsed)
	return err
}

func (l *limits) compose() inbound.Limits {
	return inbound.Limits{
		MessageSize: int64(l.MessageSize), Recipients: l.Recipients,
		Connections: l.Connections, ConnectionsPerClient: l.ConnectionsPerClient, ConnectionsPerUser: l.ConnectionsPerUser,
		MessagesPerConnection: l.MessagesPerConnection, Errors: l.Errors, Commands: l.Commands, CommandLength: int(l.CommandLength),
		Idle: time.Duration(l.Idle), DataMinRate: int64(l.DataRate), DataTotal: time.Duration(l.DataTotal),
		RatePerClient: auth.Rate(l.RatePerClient), RatePerUser: auth.Rate(l.RatePerUser), RatePerSender: auth.Rate(l.RatePerSender),
		RecipientRatePerClient: auth.Rate(l.RecipientRatePerClient), RecipientRatePerUser: auth.Rate(l.RecipientRatePerUser),
		RecipientRatePerSender: auth.Rate(l.RecipientRatePerSender),
	}
}

// check wants what is counted to be at least the given number, which is 0 where a zero
// stands for the whole relay's limit.
func (l *limits) check(r *report, path string, least int64) {
	for _, n := range []struct {
		key   string
		value int64
	}{
		{"message_size", int64(l.MessageSize)}, {"recipients", int64(l.Recipients)}, {"hops", int64(l.Hops)},
		{"connections", int64(l.Connections)}, {"connections_per_client", int64(l.ConnectionsPerClient)},
		{"errors", int64(l.Errors)}, {"commands", int64(l.Commands)}, {"idle", int64(l.Idle)}, {"data_rate", int64(l.DataRate)}, {"data_total", int64(l.DataTotal)},
	} {
		if n.value < least {
			r.fault(path+"."+n.key, "must be more than 0")
		}
	}
	for _, n := range []struct {
		key   string
		value int
	}{{"connections_per_user", l.ConnectionsPerUser}, {"messages_per_connection", l.MessagesPerConnection}} {
		if n.value < 0 {
			r.fault(path+"."+n.key, "is negative: 0 means no limit")
		}
	}
	if c := l.CommandLength; (c != 0 || least > 0) && (c < 512 || c > 16384) {
		r.fault(path+".command_length", "%d is not from 512 to 16384", c)
	}
}
