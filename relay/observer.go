package relay

import "time"

// Observer is told each business fact once. Logs, metrics and events hang on it. Its
// methods must not block: mail waits for them.
type Observer interface {
	Accepted(Accepted)
	Refused(Refused)
	Attempted(Attempted)
	Notified(Notified)
	Held(Held)
	Gated(Gated)
	Faulted(Fault)
}

// Accepted is told when a message has been committed.
type Accepted struct {
	Message      *Message
	Destinations []Destination
	// Unsigned says why a message that has a key was not signed; nil when all is well.
	Unsigned error
	// Commit is how long the durable commit took, and Answer how long the client waits for
	// its 250 from the last byte of the message on, the commit included.
	Commit, Answer time.Duration
}

// Refused is told when a command or a message was refused.
type Refused struct {
	Origin *Origin
	// Stage is connect, auth, mail, rcpt or data.
	Stage string
	// Login is the name that the client gave, at the auth stage.
	Login  string
	Sender Address
	// Recipient is set at the rcpt stage.
	Recipient Address
	Reply     *Reply
	// Reason is the reply's, or ReasonPolicy where it has none: see Refuse.
	Reason Reason
	// Trace is what rules had said by then.
	Trace []Verdict
}

// Status is what became of a recipient.
type Status uint8

// What an attempt can make of a recipient. All but Deferred and Moved are final.
const (
	Delivered Status = iota + 1
	Deferred
	Bounced
	Expired
	Moved
	// Deleted is what an operator took out of the queue, Discarded what a rule threw away.
	Deleted
	Discarded
)

// Statuses lists them all.
func Statuses() []Status {
	return []Status{Delivered, Deferred, Bounced, Expired, Moved, Deleted, Discarded}
}

// String gives the word that logs and commands show.
func (s Status) String() string {
	switch s {
	case Delivered:
		return "delivered"
	case Deferred:
		return "deferred"
	case Bounced:
		return "bounced"
	case Expired:
		return "expired"
	case Moved:
		return "moved"
	case Deleted:
		return "deleted"
	case Discarded:
		return "discarded"
	}
	return "unknown"
}

// Outcome is the fate of one recipient in an attempt.
type Outcome struct {
	Recipient Recipient
	Status    Status
	Reply     Reply
	// Host is the next hop that replied; "" when it was none.
	Host string
}

// Attempted is told when an attempt has been settled.
type Attempted struct {
	Delivery Delivery
	Message  *Message
	Outcomes []Outcome
	// Host, Addr and TLS describe the session; empty when none was needed.
	Host, Addr, TLS string
	// Queue, Connect and Transmit are where the time went: from arrival or due time to the
	// attempt, opening the connection (0 when it was reused), the transaction.
	Queue, Connect, Transmit time.Duration
	// Due is when the deferred recipients are tried again; zero when none is deferred.
	Due       time.Time
	Ambiguous bool
	// DSN says that the next hop took on the requests for notices.
	DSN bool
	// EightBit says that 8-bit text was sent to a host that does not offer 8BITMIME.
	EightBit bool
}

// Notified is told when a DSN about a message has been queued, or dropped because the
// message has a null reverse-path.
type Notified struct {
	About   ID
	To      Address
	Notice  ID
	Status  Status
	Dropped bool
}

// Gated is told when the way to a destination or site closes or opens.
type Gated struct {
	// Name is a destination or the key of a site.
	Name   string
	Closed bool
	// Until is when the next probe is due.
	Until time.Time
	Reply Reply
}

// Fault is told when something of ours failed and was contained.
type Fault struct {
	// Doing says what was being done.
	Doing   string
	Message ID
	Err     error
}
