package outbound

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Credentials are what AUTH proves: a password, or an access token in its place.
type Credentials struct {
	User, Password string
	// OAuth, when set, says how the access tokens of User are got.
	OAuth *OAuth
	// Mechanism is the only one that may be used; "" for the strongest that the host offers
	// of those that the credentials are for.
	Mechanism string
}

// String names the user, and never shows the password.
func (c Credentials) String() string { return c.User }

// GoString is String, so that no way of printing shows the password.
func (c Credentials) GoString() string { return c.User }

// The mechanisms, in upper case as servers show them.
const (
	mechanismSCRAM       = "SCRAM-SHA-256"
	mechanismPlain       = "PLAIN"
	mechanismLogin       = "LOGIN"
	mechanismXOAuth2     = "XOAUTH2"
	mechanismOAuthBearer = "OAUTHBEARER"
)

// Mechanisms are the words that Credentials.Mechanism may be, in lower case.
func Mechanisms() []string {
	return []string{"scram-sha-256", "plain", "login", "xoauth2", "oauthbearer"}
}

// mechanisms are those that the credentials can be used with, the strongest first. A token is
// never sent as a password, and after a mechanism was refused no other one is tried.
func (c *Credentials) mechanisms() []string {
	all := []string{mechanismSCRAM, mechanismPlain, mechanismLogin}
	if c.OAuth != nil {
		all = []string{mechanismXOAuth2, mechanismOAuthBearer}
	}
	if c.Mechanism != "" {
		all = slices.DeleteFunc(all, func(m string) bool { return !strings.EqualFold(m, c.Mechanism) })
	}
	return all
}

// Validate says what is wrong with the credentials, everything at once.
func (c *Credentials) Validate() error {
	var faults []error
	if c.User == "" {
		faults = append(faults, errors.New("credentials without a user"))
	}
	if c.OAuth != nil && c.Password != "" {
		faults = append(faults, errors.New("credentials with both a password and OAuth2"))
	}
	if c.Mechanism != "" && !slices.Contains(Mechanisms(), strings.ToLower(c.Mechanism)) {
		faults = append(faults, fmt.Errorf("%q is not a mechanism: want one of %s", c.Mechanism, strings.Join(Mechanisms(), ", ")))
	} else if len(c.mechanisms()) == 0 {
		faults = append(faults, fmt.Errorf("the mechanism %s is not for these credentials", c.Mechanism))
	}
	if c.OAuth != nil {
		faults = append(faults, c.OAuth.Validate())
	}
	return errors.Join(faults...)
}

// logins are the credentials of routes by their users. Others of the same user make another session: with
// a wrong password, say, no mail goes over one that a right one has opened, nor is that one held.
type logins map[string][]*Credentials

// number is the place of the credentials among those of their user.
func (l *logins) number(c *Credentials) int {
	if c == nil {
		return 0
	}
	if *l == nil {
		*l = make(logins)
	}
	known := (*l)[c.User]
	at := slices.IndexFunc(known, func(other *Credentials) bool { return reflect.DeepEqual(other, c) })
	if at < 0 {
		at = len(known)
		(*l)[c.User] = append(known, c)
	}
	return at
}
