package relay

import (
	"fmt"
	"strings"
)

// EnhancedCode is an enhanced mail system status code (RFC 3463); zero means none.
type EnhancedCode [3]int

// String gives the dotted form, or "" for none.
func (e EnhancedCode) String() string {
	if e == (EnhancedCode{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", e[0], e[1], e[2])
}

// Reply is an SMTP reply: what we answer a client, or what a next hop answered us. As
// an error it is the only kind whose text a peer may read. Text is public, on one line
// and without the codes; Err is the cause, ours alone, and is never sent or stored.
type Reply struct {
	Code     int
	Enhanced EnhancedCode
	Text     string
	Err      error
	// Class is what a next hop's refusal is about; ClassNone where that is not known.
	Class Class
	// Reason is why we refuse; it is not stored. "" where that is a rule's will.
	Reason Reason
}

// NewReply makes a reply from its three public parts.
func NewReply(code int, enhanced EnhancedCode, text string) *Reply {
	return &Reply{Code: code, Enhanced: enhanced, Text: text}
}

// Because returns a copy of the reply that carries the cause.
func (r Reply) Because(err error) *Reply {
	r.Err = err
	return &r
}

// String gives the reply as it stands on the wire, without line end.
func (r Reply) String() string {
	var b strings.Builder
	if r.Code != 0 {
		fmt.Fprintf(&b, "%03d ", r.Code)
	}
	if e := r.Enhanced.String(); e != "" {
		b.WriteString(e + " ")
	}
	b.WriteString(r.Text)
	return b.String()
}

// Error shows the public reply and its cause: for logs, not for peers.
func (r *Reply) Error() string {
	if r.Err != nil {
		return r.String() + ": " + r.Err.Error()
	}
	return r.String()
}

func (r *Reply) Unwrap() error { return r.Err }

// Positive says that the code is 2xx: done.
func (r Reply) Positive() bool { return r.Code/100 == 2 }

// Permanent says that the code is 5xx: trying again is of no use.
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

// Temporary says that it is neither done nor hopeless. A reply without a valid code is
// temporary: mail is never bounced for want of an answer.
func (r Reply) Temporary() bool { return !r.Positive() && !r.Permanent() }

// The answers that more than one place gives.
var (
	// replyLocalError answers for every failure of ours: temporary, and silent about the cause.
	replyLocalError = Reply{Code: 451, Enhanced: EnhancedCode{4, 3, 0}, Text: "Temporary local problem, try again later", Reason: ReasonLocal}
	// replyStorageFull answers while the disk has no room for new mail.
	replyStorageFull = Reply{Code: 452, Enhanced: EnhancedCode{4, 3, 1}, Text: "Insufficient system storage, try again later", Reason: ReasonStorage}
	// replyTooLarge refuses a message over the size limit.
	replyTooLarge = Reply{Code: 552, Enhanced: EnhancedCode{5, 3, 4}, Text: "Message size exceeds the limit", Reason: ReasonSize}
)

// LocalError is the reply for a failure of ours whatever it is: 451 4.3.0 with a fixed
// text and err as its cause, for logs alone (conformance I20).
func LocalError(err error) *Reply { return replyLocalError.Because(err) }

// StorageFull is the reply that a Spool refuses new mail with while its disk is low:
// 452 4.3.1.
func StorageFull(err error) *Reply { return replyStorageFull.Because(err) }
