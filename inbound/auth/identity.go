package auth

import (
	"context"
	"errors"
	"net/netip"
)

// Identity is an authenticated user and what the user may do.
type Identity struct {
	// User is the name as the backend knows it, whatever way the client wrote it.
	User string
	// Senders are those that the user may send as.
	Senders Senders
	// Rate bounds the user's messages, Quota the recipients, in place of what bounds all users.
	// Zero means that none was given.
	Rate, Quota Rate
}

// Attempt is a name and a password that a client gave.
type Attempt struct {
	User, Password string
	// Client is the address of the client, invalid on a Unix socket; Listener is where it came.
	Client   netip.Addr
	Listener string
}

// Backend knows users. Anything but a clear yes or no is a failure of the backend's: the
// client is asked to come again, never told that its password is wrong (conformance I17).
type Backend interface {
	// Authenticate returns the user, or an error that wraps ErrCredentials or ErrUnknown
	// where the backend says no, or else that of its failure.
	Authenticate(ctx context.Context, a Attempt) (*Identity, error)
}

var (
	// ErrCredentials says that the name or the password is wrong.
	ErrCredentials = errors.New("wrong user name or password")
	// ErrUnknown says that the backend has no such user, and the next one is to be asked.
	ErrUnknown = errors.New("unknown user")
)
