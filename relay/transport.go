package relay

import (
	"context"
	"io"
	"time"
)

// Transport takes mail to next hops. Its errors are *Reply: permanent only where the
// recipients of the destination can never be reached (no such domain, null MX).
type Transport interface {
	// Resolve finds the site of a destination. It may wait for DNS.
	Resolve(ctx context.Context, to Destination) (*Site, error)

	// Dial opens a session with one of the site's hosts, in order of preference, ready for the
	// first transaction. It returns a *Reply, always temporary, when no host could be used.
	Dial(ctx context.Context, site *Site) (Conn, error)
}

// Retrier is a Transport that leaves ways to a destination alone for a time, such as those whose
// credentials were refused, and tries them again when an operator asks for it.
type Retrier interface {
	// Retry does not wait for anything. The next Resolve may have another site.
	Retry(to Destination)
}

// Site is the set of hosts that one or more destinations resolve to, together with one
// TLS, AUTH and source identity. Destinations whose sites have the same Key share
// connections.
type Site struct {
	Key string
	// Expires is when the destination has to be resolved again; zero means never.
	Expires time.Time
	// Connections is the most connections to keep to the site; 0 means the scheduler's default.
	Connections int
	// Rates bound what goes to the site.
	Rates []Rate
	// Names are those of its hosts, the most preferred first, by which providers are known.
	Names []string
	// Moved, where it is set, says that Resolve has another site for the destination now, as when
	// this one fails and there is a way around it. It answers from memory and may be called often.
	Moved func() bool
	// Around says that there is another way, which Resolve takes while this site fails. So a
	// destination that is led here finds out soon whether it can stay, whatever is known of the
	// site. The mail of others waits until the next probe is due.
	Around bool
	// Source is the address that connections come from, where one is configured.
	Source string
	// Smart says that the hosts are configured smart hosts: their recovery is looked for
	// within seconds rather than minutes.
	Smart bool
	// Hosts is the Transport's own knowledge, opaque to the scheduler.
	Hosts any
}

// stale says that the destination is to be resolved again.
func (s *Site) stale(now time.Time) bool {
	return !s.Expires.IsZero() && !now.Before(s.Expires) || s.moved()
}

// moved says that another site is to be used now.
func (s *Site) moved() bool { return s.Moved != nil && s.Moved() }

// Conn is a session with a next hop. It belongs to one goroutine.
type Conn interface {
	// Deliver runs one transaction, or several where the peer takes fewer recipients at once.
	// It may ask next, once and while it runs, for what is to be delivered after t, so as to
	// send the commands for it together with the end of t. What next returned is what Deliver
	// is called with next, whatever becomes of t. A nil next says that there is nothing.
	Deliver(ctx context.Context, t Transfer, next func() (Transfer, bool)) Attempt
	// Usable says whether the connection can carry another transaction.
	Usable() bool
	// Remote names the host and address at the other end, for operators.
	Remote() (host, addr string)
	// Close ends the session, with QUIT where it is in a state for it. It does not wait long.
	Close() error
}

// Transfer is what a Conn is to deliver.
type Transfer struct {
	Message *Message
	// Recipients are those of this delivery.
	Recipients []Recipient
	// Body is read from its start; the Conn may seek to the start again.
	Body io.ReadSeeker
	// Recall, where it is set, gives back what next returned: the Conn may call it once, in the
	// Deliver that asked for it, when that has to wait for long and the peer cannot take this one.
	// Then Deliver is not called with it, and somebody else delivers it.
	Recall func()
}

// Attempt is what became of a Transfer.
type Attempt struct {
	// Replies has one reply for each of the transfer's recipients, in order.
	Replies []Reply
	// Host, Addr and TLS describe the session.
	Host, Addr, TLS string
	// Hosts, where it is not nil, names for each recipient the host that answered, as when
	// another host was asked about those whom the first refused for now.
	Hosts []string
	// DSN says that the requests for notices (RFC 3461) were passed on to every host that took
	// a recipient, which then sees to them.
	DSN bool
	// Transmit is how long the transaction took.
	Transmit time.Duration
	// Untried says that the peer made no decision about this message: the connection,
	// used before, turned out to be closed, or the peer ended it with 421 before MAIL was
	// answered. The delivery goes back to its bin and no attempt is counted.
	Untried bool
	// Setback says that the attempt speaks against the site rather than the message: a 421,
	// a lost connection, a timeout.
	Setback bool
	// Local is set when the attempt ended for a reason of ours, such as a body that
	// cannot be read. It wraps ErrCorrupt where the message is to be set aside.
	Local error
	// EightBit says that 8-bit text was sent as it is to a host that does not offer 8BITMIME: to
	// convert it would break its signatures, and hosts that spoil it are gone.
	EightBit bool
	// Ambiguous says that the connection was lost after the final dot and before its
	// reply: the peer may have taken the message, and a repeat may be a duplicate.
	Ambiguous bool
}
