package inbound

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxyTimeout bounds the wait for a PROXY header, which the load balancer sends at once.
const proxyTimeout = 10 * time.Second

// unproxy reads the header of the PROXY protocol, version 1 or 2, and makes the session its
// client's (conformance I23). LOCAL and UNKNOWN mean the balancer itself, as for its
// health checks. A connection without a proper header is closed without a word: nobody knows
// whom it would meet.
func (s *session) unproxy() bool {
	s.until = s.now().Add(min(proxyTimeout, s.limits.Idle))
	if _, err := s.in.Peek(1); errors.Is(err, io.EOF) {
		s.over = true // a balancer that only looks whether we are there
		return false
	}
	header, err := proxyproto.Read(s.in)
	client := s.peer
	if err == nil && header.Command.IsProxy() {
		client, err = proxied(header)
	}
	if err != nil {
		s.over, s.origin.Client = true, s.peer // nobody else is known
		s.observe("connect", replyProxy.Because(err))
		return false
	}
	s.origin.Client, s.peer = client, client
	s.proxied = false
	return s.settle()
}

// proxied is the client that the header names.
func proxied(h *proxyproto.Header) (netip.Addr, error) {
	a, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, proxyproto.ErrUnsupportedAddressFamilyAndProtocol
	}
	return a.AddrPort().Addr().Unmap(), nil
}

// settle counts the session as that of the client it turned out to have.
func (s *session) settle() bool {
	s.transcribe()
	reply := s.server.roster.move(s)
	if reply == nil {
		return true
	}
	refused := s.refuse("connect", reply)
	s.over = s.listener.TLS.mode() == TLSImplicit && s.conn == s.raw // where a word in clear is none
	s.end(refused)
	return false
}
