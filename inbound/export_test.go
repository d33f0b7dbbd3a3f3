package inbound

import "net"

// NewAt is New with a listener that is bound already: it serves the first of the options'
// listeners. Tests give it pipes, which keep to a bubble's clock, and broken listeners.
func NewAt(bound net.Listener, options Options) (*Server, error) {
	s, err := prepare(options)
	if err != nil {
		return nil, err
	}
	d, err := newDoorAt(bound, s, options.Listeners[0])
	if err != nil {
		return nil, err
	}
	s.doors = append(s.doors, d)
	return s, nil
}

// AsReply is the one function that makes replies of errors.
var AsReply = asReply
