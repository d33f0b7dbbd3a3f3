package relay

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Class is what a next hop's refusal is about. It decides when to try again, and whether a
// permanent reply ends a delivery. The zero Class is for replies of which nothing is known
// beyond their code.
type Class uint8

// The classes of replies.
const (
	ClassNone Class = iota
	// ClassUser is about the recipient: there is none of that name, or it takes no mail.
	ClassUser
	// ClassQuota is about the recipient's limits: a full mailbox, or too much mail at once.
	ClassQuota
	// ClassGreylisting asks a stranger to come back in some minutes.
	ClassGreylisting
	// ClassRate is about our limits there: connections, messages, or mail a day.
	ClassRate
	// ClassPolicy is about who we are: block lists, SPF, DMARC, relaying, reputation.
	ClassPolicy
	// ClassContent is about the message: spam, a virus, its size, its form.
	ClassContent
	// ClassTLS is about the encryption of the session.
	ClassTLS
	// ClassAuth is about our credentials: it is our configuration that is wrong.
	ClassAuth
	// ClassHost is about the next hop itself: overload, a full disk, a route that it lacks.
	ClassHost

	classes
)

// classWords are the words of the classes, in order.
var classWords = [classes]string{"", "user", "quota", "greylisting", "rate", "policy", "content", "tls", "auth", "host"}

// ClassWords are the words of all classes but ClassNone.
func ClassWords() []string { return slices.Clone(classWords[1:]) }

// String gives the class's word, "" for ClassNone.
func (c Class) String() string { return classWords[c] }

// MarshalText gives the class's word.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the class's word.
func (c *Class) UnmarshalText(text []byte) error {
	i := slices.Index(classWords[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is not a class of replies: want one of %s", text, strings.Join(classWords[1:], ", "))
	}
	*c = Class(i)
	return nil
}

// Bounces says whether a permanent reply of this class ends the delivery. It does not where
// the trouble is ours and no other message would fare better: mail waits until the
// credentials, the encryption or the rate have been put right (conformance T18).
func (c Class) Bounces() bool { return c != ClassAuth && c != ClassTLS && c != ClassRate }

// SlowsSite says whether a reply of this class speaks against going on at this pace.
func (c Class) SlowsSite() bool { return c == ClassAuth || c == ClassRate }

// Backoff is a schedule of waits that grow. The zero Backoff is none.
type Backoff struct {
	// Least is the least of all waits.
	Least time.Duration
	// First is the longest wait before the second attempt.
	First time.Duration
	// Factor is what the longest wait grows by with each attempt.
	Factor float64
	// Max bounds the wait.
	Max time.Duration
}

// ClassBackoffs has the schedules of those classes that have one of their own.
type ClassBackoffs [classes]Backoff

// DefaultClassBackoffs are the schedules where none is configured. Greylisting has a short
// memory at both ends: before 5 minutes it is too early, after some hours we are strangers again.
func DefaultClassBackoffs() ClassBackoffs {
	return ClassBackoffs{
		ClassGreylisting: {Least: 5 * time.Minute, First: 15 * time.Minute, Factor: 1.5, Max: time.Hour},
		ClassQuota:       {Least: 15 * time.Minute, First: time.Hour, Factor: 2, Max: 8 * time.Hour},
		ClassRate:        {Least: time.Minute, First: 10 * time.Minute, Factor: 2, Max: 2 * time.Hour},
		ClassAuth:        {Least: time.Minute, First: 10 * time.Minute, Factor: 2, Max: time.Hour},
	}
}
