package relay

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// ErrNotFound says that a message is not, or no longer, in the spool.
var ErrNotFound = errors.New("not in the spool")

// ErrCorrupt says that a record in the spool cannot be decoded. Whoever meets it for a
// message hands the message to Spool.Quarantine.
var ErrCorrupt = errors.New("corrupt record in the spool")

// Spool keeps accepted messages and their deliveries on stable storage. Every
// implementation passes relaytest.TestSpool. All methods are safe for use by several
// goroutines.
type Spool interface {
	// Admit says whether there is room for a new message of the given size in bytes (0
	// when unknown). It returns a *Reply, 452 4.3.1, when there is not.
	Admit(size int64) error

	// Create starts a draft. The caller ends it with Commit or Discard.
	Create(ctx context.Context) (Draft, error)

	// Claim returns up to n deliveries of the destination and flow that are due at now
	// and not claimed, earliest due first, and claims them for the caller. Held deliveries are
	// in no bin: they cost a claim nothing, and it never sees them. Next is the
	// due time of the earliest one that is left unclaimed, zero when there is none; it
	// may lie before now if n cut the answer short. Claim writes nothing.
	Claim(ctx context.Context, to Destination, flow Flow, now time.Time, n int) (ds []Delivery, next time.Time, err error)

	// ClaimMessage claims all deliveries of a message that are neither claimed nor held, due
	// or not.
	ClaimMessage(ctx context.Context, id ID) ([]Delivery, error)

	// ClaimHeld claims all deliveries of a message that are held and not claimed. They are
	// released by a Settle that leaves them without Held.
	ClaimHeld(ctx context.Context, id ID) ([]Delivery, error)

	// Release gives up claims without a change: as if they had not been taken.
	Release(ds ...Delivery)

	// Claims counts the deliveries that are claimed. Those of a message on its way into the queue
	// are not among them.
	Claims() int

	// Settle records the end of an attempt as one atomic batch and gives up the claim.
	// Several settlements must be of one message, and take effect together or not at all.
	// It need not be durable when it returns but becomes so within milliseconds: a lost
	// settle repeats an attempt. On an error nothing has changed and the claims still hold,
	// save where ctx ended while the disk was full: then it may still take effect later.
	Settle(ctx context.Context, ss ...Settlement) error

	// Message returns a message's record, ErrNotFound or ErrCorrupt.
	Message(ctx context.Context, id ID) (*Message, error)

	// Body opens a message's body for reading. The reader seeks to the start for a second
	// reading, and returns ErrCorrupt rather than end early. Of m, ID and Place are used.
	Body(ctx context.Context, m *Message) (io.ReadSeekCloser, error)

	// Bins yields each destination and flow that has deliveries which are not held, with the
	// earliest due time among them, in the order of route, domain and flow as bytes, from the
	// given destination and flow on; the zero BinHead is before all. It costs time in the number
	// of bins and flows yielded, not of messages. Nothing is held on to between two of them.
	Bins(ctx context.Context, from BinHead) iter.Seq2[BinHead, error]

	// Arrived yields the IDs of messages in order of arrival, from the given ID on.
	Arrived(ctx context.Context, from ID) iter.Seq2[ID, error]

	// Deliveries returns the deliveries that a message has left, claimed or not, held or not,
	// without claiming them; none when it is not in the queue.
	Deliveries(ctx context.Context, id ID) ([]Delivery, error)

	// List yields all deliveries, held or not, in order of their messages' arrival, from the
	// ID on.
	List(ctx context.Context, from ID) iter.Seq2[Delivery, error]

	// Places yields where deliveries wait, without reading them, in the order of
	// Place.Compare from the given place on; the zero Place is before all. Nothing is held on to
	// between two of them. A delivery that moves meanwhile may be seen twice, or not at all.
	Places(ctx context.Context, from Place) iter.Seq2[Place, error]

	// Quarantine takes a message that cannot be processed, with all its deliveries, out of
	// the queue and sets it aside with the reason. Nothing is lost and nothing is sent.
	Quarantine(ctx context.Context, id ID, reason string) error
}

// Draft is the body of a message that is not committed yet. It belongs to one
// goroutine. A draft that a crash leaves behind is invisible and is collected.
type Draft interface {
	// Write appends body bytes. Memory is bounded whatever the total.
	io.Writer
	// Body reads back what was written so far.
	Body() (io.ReadSeekCloser, error)
	// Commit stores the message and its deliveries with the body as one atomic, durable
	// change, and where the Spool keeps a History the events with them. Deliveries with Claimed set are claimed for the caller before anyone can see
	// them. On an error nothing is stored and no claim is held. The draft is used up
	// either way.
	Commit(ctx context.Context, m *Message, ds []Delivery, events ...Event) error
	// Discard drops the draft. After Commit it does nothing, so it can be deferred.
	Discard()
}

// Settlement is what an attempt made of a claimed delivery.
type Settlement struct {
	// Delivery is the claimed delivery as it was before. It is removed.
	Delivery Delivery
	// Message is the delivery's, if it is at hand: it saves the spool a look.
	Message *Message
	// Then is what remains to be delivered: the delivery with its new due time or
	// destination, or several where its recipients part ways. Part 0 of Then keeps the
	// delivery's part number, further ones are given new numbers by the spool. Where Then is
	// empty, and no other delivery of the message is left, the message goes too.
	Then []Delivery
	// Events are what there is to remember of it, where the Spool keeps a History.
	Events []Event
	// Notices are messages of ours that enter the queue in the same batch.
	Notices []Notice
}

// Notice is a message of our own making, small enough to be held in memory: a DSN.
type Notice struct {
	Message    *Message
	Body       []byte
	Deliveries []Delivery
}

// BinHead is what the spool knows of a bin and flow without reading its deliveries.
type BinHead struct {
	To   Destination
	Flow Flow
	// Due is the earliest due time of the flow's deliveries.
	Due time.Time
}
