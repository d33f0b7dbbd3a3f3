package suppression

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"postrider/relay"
)

// Entry is a recipient to whom nothing is sent.
type Entry struct {
	// Address is in lower case: mailboxes that differ in that alone do not exist.
	Address string `json:"address"`
	// Scope says whose mail is meant: ScopeGlobal, or ScopeDomain or ScopeUser and a name.
	Scope string    `json:"scope"`
	Since time.Time `json:"since"`
	// Until is when it ends; zero for never.
	Until time.Time `json:"until,omitzero"`
	// Author is the operator who wants it; "" where a next hop's reply is the cause.
	Author string `json:"author,omitempty"`
	// Reason is the author's, or the reply. Clients are told of it.
	Reason string `json:"reason"`
	// Host is the next hop that replied.
	Host string `json:"host,omitempty"`
}

// What scopes are, or begin with.
const (
	// ScopeGlobal is all mail.
	ScopeGlobal = "global"
	// ScopeDomain is mail whose reverse-path has the domain that follows.
	ScopeDomain = "domain:"
	// ScopeUser is mail of the authenticated user who follows.
	ScopeUser = "user:"
)

// ErrEntry is the error for an entry that makes no sense.
var ErrEntry = errors.New("not a suppression")

// reasonMost bounds reasons, in bytes: the list is in memory.
const reasonMost = 200

// key is what there is one entry for.
type key struct{ address, scope string }

func (e *Entry) key() key { return key{e.Address, e.Scope} }

// note is the key under which an entry is kept. No address goes on after its domain.
func (k key) note() string { return notePrefix + k.address + "|" + k.scope }

func folded(a relay.Address) string { return strings.ToLower(a.String()) }

// normalize brings an entry into the form in which it is kept, and says what is wrong with it.
func (e *Entry) normalize() error {
	a, err := relay.ParseAddress(strings.TrimSpace(e.Address))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEntry, err)
	}
	if exempt(a) {
		return fmt.Errorf("%w: %q: mail for postmasters is never suppressed", ErrEntry, e.Address)
	}
	e.Address = folded(a)
	if e.Scope, err = parseScope(e.Scope); err != nil {
		return err
	}
	if e.Reason = oneLine(e.Reason); e.Reason == "" {
		return fmt.Errorf("%w: %s: a reason is needed", ErrEntry, e.Address)
	}
	e.Host = oneLine(e.Host)
	e.Since, e.Until = plain(e.Since), plain(e.Until)
	return nil
}

// plain is the time as it is kept.
func plain(at time.Time) time.Time { return at.UTC().Round(0) }

// parseScope reads a scope; "" is ScopeGlobal.
func parseScope(text string) (string, error) {
	for _, kind := range []string{ScopeDomain, ScopeUser} {
		if name, is := strings.CutPrefix(text, kind); is && name != "" && len(name) <= 255 {
			return scopeOf(kind, name), nil
		}
	}
	if text = cmp.Or(text, ScopeGlobal); text != ScopeGlobal {
		return "", fmt.Errorf("%w: scope %q: want %s, %sNAME or %sNAME", ErrEntry, text, ScopeGlobal, ScopeDomain, ScopeUser)
	}
	return text, nil
}

func scopeOf(kind, name string) string {
	if kind == ScopeDomain {
		name = strings.ToLower(name)
	}
	return kind + name
}

// exempt are the addresses that are never suppressed (RFC 5321 section 4.5.1).
func exempt(a relay.Address) bool { return a.IsNull() || strings.EqualFold(a.Local, "postmaster") }

// oneLine makes of a text, which may be a stranger's, what can stand in a reply and a list.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }), " ")
	return text[:min(len(text), reasonMost)] // it is ASCII
}

// in says whether the entry is in force.
func (e *Entry) in(now time.Time) bool { return e.Until.IsZero() || now.Before(e.Until) }

// reply refuses mail for it, and says since when and why.
func (e *Entry) reply() *relay.Reply {
	since := e.Since.UTC().Format(time.DateOnly)
	if e.Author != "" {
		return relay.NewReply(550, relay.EnhancedCode{5, 7, 1}, fmt.Sprintf("Recipient suppressed here since %s: %s", since, e.Reason)).For(relay.ReasonSuppressed)
	}
	text := fmt.Sprintf("Recipient suppressed here since %s, because %s said: %s", since, e.Host, e.Reason)
	return relay.NewReply(550, relay.EnhancedCode{5, 1, 1}, text).For(relay.ReasonSuppressed)
}
