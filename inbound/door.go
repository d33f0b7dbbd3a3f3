package inbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
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
	manners atomic.Pointer[manners]
	// file is that of a Unix socket of our own; nil for any other listener.
	file    *socketFile
	closing sync.Once
	closed  chan struct{}
}

// manners are how a door takes its clients in. They change as a whole.
type manners struct {
	options Listener
	keys    *keyring // nil for TLSNone, as tls is
	tls     *tls.Config
}

func newDoor(s *Server, l Listener, limits Limits) (*door, error) {
	bound, kept := s.options.Bound[l.Name]
	var file *socketFile
	if !kept || s.ran.Load() {
		var err error
		if bound, file, err = l.bind(); err != nil {
			return nil, fmt.Errorf("listener %q at %s: %w", l.Name, l.Address, err)
		}
	}
	d, err := newDoorAt(bound, s, l, limits)
	if err != nil {
		return nil, errors.Join(err, bound.Close())
	}
	d.file = file
	return d, nil
}

// bind listens, for those who may connect.
func (l Listener) bind() (net.Listener, *socketFile, error) {
	bound, err := bind(l.network())
	if err != nil {
		return nil, nil, err
	}
	file, err := openSocket(l)
	if err != nil {
		return nil, nil, errors.Join(err, bound.Close())
	}
	return bound, file, nil
}

func newDoorAt(bound net.Listener, s *Server, l Listener, limits Limits) (*door, error) {
	m, err := s.newManners(l, limits)
	if err != nil {
		return nil, err
	}
	d := &door{Listener: bound, server: s, closed: make(chan struct{})}
	d.manners.Store(m)
	return d, nil
}

// newManners reads the listener's certificates.
func (s *Server) newManners(l Listener, limits Limits) (*manners, error) {
	l.Limits = l.Limits.or(limits)
	keys, err := s.keepKeyring(l)
	if err != nil {
		return nil, fmt.Errorf("listener %q: %w", l.Name, err)
	}
	m := &manners{options: l, keys: keys}
	if keys != nil {
		m.tls = keys.config(l.Profile)
	}
	return m, nil
}

// listen binds without TCP keep-alive: a session has a deadline for each wait, and four system calls
// for each connection are saved.
func listen(network, address string) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1, Control: ownersOnly}
	return config.Listen(context.Background(), network, address)
}

// bind listens. A Unix socket that nobody answers at is left over from a crash and goes.
func bind(network, address string) (net.Listener, error) {
	bound, err := listen(network, address)
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
	return listen(network, address)
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
			d.server.options.Observer.Faulted(relay.Fault{Doing: "accept connections at " + d.manners.Load().options.Name, Err: err})
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
	if within(s.listener.ProxyProtocol, s.peer) {
		s.proxied, s.origin.Client = true, netip.Addr{} // whoever it is, it is not the balancer
	}
	reply := d.server.roster.enter(s)
	d.server.tally.met(s.listener.Name, reply != nil)
	if reply == nil {
		d.server.crew.run(s)
		return
	}
	d.turnAway(s, reply)
}

// turnAway says why there is no session.
func (d *door) turnAway(s *session, reply *relay.Reply) {
	defer s.free()
	defer s.contain()
	defer s.cut()
	s.observe("connect", reply)
	s.transcribe()
	s.transcript.Note("turned away: %v", reply)
	s.transcript.End()
	if s.listener.TLS.mode() == TLSImplicit {
		return
	}
	// A fresh connection has room for a line, so this does not hold up the next client.
	if s.raw.SetWriteDeadline(s.now().Add(farewellTimeout)) == nil {
		fmt.Fprintf(s.raw, "%s\r\n", reply)
	}
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

// isClosed says that the door ended because it was told to.
func (d *door) isClosed() bool {
	select {
	case <-d.closed:
		return true
	default:
		return false
	}
}
