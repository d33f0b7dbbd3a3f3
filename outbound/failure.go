package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"postrider/relay"
)

// The failures of a connection. All are temporary.
var (
	replyNoAnswer  = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 4, 1}}
	replyLost      = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 4, 2}}
	replyGarbage   = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 5, 0}}
	replySelf      = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 4, 6}}
	replyTLSPolicy = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 7, 4}, Class: relay.ClassTLS}
	replyTLSFault  = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 7, 5}, Class: relay.ClassTLS}
	replyAuth      = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 7, 8}, Class: relay.ClassAuth}
	replyStopping  = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 3, 2}}
)

// lost makes a reply of an error on a connection.
func (c *conn) lost(doing string, err error) *relay.Reply {
	switch {
	case errors.Is(err, errGarbage):
		return saying(replyGarbage, "%s did not answer in SMTP to %s", c.remote, doing).Because(err)
	case isTimeout(err):
		return saying(replyLost, "%s did not answer %s in time", c.remote, doing).Because(err)
	}
	return saying(replyLost, "Lost the connection with %s at %s: %s", c.remote, doing, cause(err)).Because(err)
}

// refused makes a temporary reply of one that ends a session before it began. A 5xx there is
// about us or the host, not about the message: it must not bounce (conformance S01).
func (c *conn) refused(doing string, a answerLines) *relay.Reply {
	said := a.reply()
	c.class(&said)
	r := relay.Reply{Code: 451, Enhanced: said.Enhanced, Class: said.Class, Text: fmt.Sprintf("%s said to %s: %s", c.remote, doing, said)}
	if said.Code == 421 {
		r.Code = 421
	}
	if r.Enhanced[0] != 4 {
		r.Enhanced[0] = 4
	}
	return &r
}

// cause says in a few words what ended a connection: this text is public.
func cause(err error) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "connection closed"
	case isTimeout(err):
		return "timed out"
	}
	return "network error"
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}
