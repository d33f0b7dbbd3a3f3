package inbound

import (
	"net"
	"strings"

	"github.com/emersion/go-smtp"
)

// NewAt is New with a listener that is bound already: it serves the first of the options'
// listeners. Tests give it pipes, which keep to a bubble's clock, and broken listeners.
func NewAt(bound net.Listener, options Options) (*Server, error) {
	s, err := prepare(options)
	if err != nil {
		return nil, err
	}
	d, err := newDoorAt(bound, s, options.Listeners[0], s.options.Limits)
	if err != nil {
		return nil, err
	}
	s.doors = append(s.doors, d)
	return s, nil
}

// Bind listens at an address that nobody may connect to yet.
func Bind(network, address string) (net.Listener, error) { return bind(network, address) }

// Backend gives the sessions of the server's first listener to go-smtp's server, which
// drives them in the place of our loop.
func Backend(s *Server) smtp.Backend {
	return smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return newSession(c.Conn(), s.doors[0]).mail, nil
	})
}

// Reply is what a client reads of an error, without its line end.
func Reply(err error) string {
	return strings.TrimSuffix(string(appendReply(nil, asError(err))), "\r\n")
}
