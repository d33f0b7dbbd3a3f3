package inbound_test

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
)

func drainIdleAndBusy(t *testing.T) {
	h := newHouse(t).open().run()
	var idle, busy []*client
	for range 100 {
		idle = append(idle, h.greeted())
	}
	for range 10 {
		busy = append(busy, h.data())
	}
	h.stop()
	for _, c := range idle {
		c.talk("S: 421 4.3.2 Service shutting down, try again later\nS: EOF")
	}
	if _, err := net.Dial("tcp", h.addr()); err == nil {
		t.Error("a new client got in")
	}
	for _, c := range busy {
		c.talk(`
			C: Subject: x
			C: .
			C: MAIL FROM:<more@example.com>
			S: 250 2.0.0 Ok: queued as <id>
			S: 421 4.3.2 Service shutting down, try again later
			S: EOF`)
	}
	if err := <-h.ended; err != nil {
		t.Error(err)
	}
	if n := len(h.spool.all()); n != len(busy) {
		t.Errorf("%d messages, want %d", n, len(busy))
	}
}

// shortOfFiles fails a few accepts before each connection.
type shortOfFiles struct {
	*pipes
	failures int
}

func (s *shortOfFiles) Accept() (net.Conn, error) {
	if s.failures > 0 {
		s.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return s.pipes.Accept()
}

func acceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := &shortOfFiles{newPipes(), 10}
		h := newHouse(t).openAt(at)
		h.spool.excuse()
		h.run()
		at.dial(t).talk("S: 220 mx.example.com ESMTP Postrider\nC: QUIT\nS: 221 2.0.0 Bye\nS: EOF")
		faults := h.observer.AllFaults()
		if len(faults) != 1 || !errors.Is(faults[0].Err, syscall.EMFILE) {
			t.Errorf("faults %v, want EMFILE once", faults)
		}
	})
}
