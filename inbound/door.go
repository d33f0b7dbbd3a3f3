package inbound

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"postrider/relay"
)

const (
	// backOffFirst and backOffMost are how long a door waits after a failed accept.
	backOffFirst = 10 * time.Millisecond
	backOffMost  = time.Second
	// farewellTimeout bounds the write of a refusal at the door.
	farewellTimeout = time.Second
)

// door is a bound listener.
type door struct {
	net.Listener
	server  *Server
	options Listener
	keys    *keyring // nil for TLSNone, as tls is
	tls     *tls.Config
	closing sync.Once
	closed  chan struct{}
}

func newDoor(s *Server, l Listener) (*door, error) {
	bound, kept := s.options.Bound[l.Name]
	if !kept {
		var err error
		if bound, err = bind(l.network()); err != nil {
			return nil, fmt.Errorf("listener %q at %s: %w", l.Name, l.Address, err)
		}
	}
	d, err := newDoorAt(bound, s, l)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listener %q: %w", l.Name, err), bound.Close())
	}
	return d, nil
}

func newDoorAt(bound net.Listener, s *Server, l Listener) (*door, error) {
	l.Limits = l.Limits.or(s.options.Limits)
	d := &door{Listener: bound, server: s, options: l, closed: make(chan struct{})}
	var err error
	if d.keys, err = s.keepKeyring(l); d.keys != nil {
		d.tls = d.keys.config(l.Profile)
	}
	return d, err
}

// bind listens. A Unix socket that nobody answers at is left over from a crash and goes.
func bind(network, address string) (net.Listener, error) {
	bound, err := net.Listen(network, address)
	if network != "unix" || !errors.Is(err, syscall.EADDRINUSE) {
		return bound, err
	}
	conn, dialErr := net.Dial(network, address)
	if dialErr == nil {
		conn.Close()
		return nil, err
	}
	if !errors.Is(dialErr, syscall.ECONNREFUSED) {
		return nil, err
	}
	// A file that is no socket refuses connections too.
	if info, statErr := os.Lstat(address); statErr != nil || info.Mode()&os.ModeSocket == 0 {
		return nil, errors.Join(err, statErr)
	}
	if err := os.Remove(address); err != nil {
		return nil, err
	}
	return net.Listen(network, address)
}

// serve takes clients in until the door is closed. An error such as EMFILE passes, and is
// reported once (conformance I24).
func (d *door) serve() error {
	var wait time.Duration
	for {
		conn, err := d.Accept()
		switch {
		case err == nil:
			wait = 0
			d.admit(conn)
			continue
		case errors.Is(err, net.ErrClosed):
			return err
		case wait == 0:
			d.server.options.Observer.Faulted(relay.Fault{Doing: "accept connections at " + d.options.Name, Err: err})
		}
		wait = min(max(2*wait, backOffFirst), backOffMost)
		if !d.rest(wait) {
			return net.ErrClosed
		}
	}
}

// rest waits, unless the door is closed meanwhile.
func (d *door) rest(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-d.closed:
		return false
	case <-timer.C:
		return true
	}
}

// admit begins a session with the client, or turns it away.
func (d *door) admit(conn net.Conn) {
	s := newSession(conn, d)
	if within(d.options.ProxyProtocol, s.peer) {
		s.proxied, s.origin.Client = true, netip.Addr{} // whoever it is, it is not the balancer
	}
	reply := d.server.roster.enter(s)
	if reply == nil {
		d.server.sessions.Go(s.run)
		return
	}
	s.observe("connect", reply)
	if d.options.TLS.mode() != TLSImplicit {
		// A fresh connection has room for a line, so this does not hold up the next client.
		if conn.SetWriteDeadline(s.now().Add(farewellTimeout)) == nil {
			fmt.Fprintf(conn, "%s\r\n", reply)
		}
	}
	conn.Close()
}

// Close stops accepting.
func (d *door) Close() error {
	err := net.ErrClosed
	d.closing.Do(func() {
		close(d.closed)
		err = d.Listener.Close()
	})
	return err
}
