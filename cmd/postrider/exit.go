package main

import "fmt"

// The exit codes of sysexits.h that mail programs know.
const (
	exitUsage       = 64 // the command line makes no sense
	exitData        = 65 // the message or an address makes no sense
	exitNoUser      = 67 // a recipient is refused
	exitUnavailable = 69 // the message is refused
	exitTemporary   = 75 // it may work later
)

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exitf(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}
