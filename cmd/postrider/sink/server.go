package sink

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// Options say how a sink listens and what it does with mail.
type Options struct {
	// Listen is the address to listen on.
	Listen string
	// Hostname is what the greeting says.
	Hostname string
	// Size is the largest message taken, in bytes.
	Size int64
	// Count ends the sink after so many messages; 0 means never.
	Count int64
	// Idle is how long a client may stay silent.
	Idle time.Duration
	// Faults are what to do wrong.
	Faults Faults
	// TLS offers STARTTLS; nil does not.
	TLS *tls.Config
	// Keep is given each message; nil means that content is discarded unread.
	Keep func(*Message) error
	Now  func() time.Time
	// Dice gives numbers in [0, 1).
	Dice func() float64
}

// Server is an SMTP server that takes everything and delivers nothing. It has a
// protocol loop of its own, a few hundred lines, because a next hop for benchmarks must
// cost less than what is measured in front of it.
type Server struct {
	o        Options
	listener net.Listener
	counters counters
	// stop ends Run: set by it, called when Count is reached.
	stop context.CancelFunc

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// New binds the address; connections wait until Run.
func New(o Options) (*Server, error) {
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Listen, err)
	}
	return &Server{o: o, listener: listener, conns: make(map[net.Conn]bool)}, nil
}

// Addr is the address that was bound.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Summary is what the sink has seen so far.
func (s *Server) Summary() Summary { return s.counters.summary() }

// Run serves until the context ends or Count messages are in. A message that was
// answered with 250 has been kept and counted, and the other way round.
func (s *Server) Run(ctx context.Context) error {
	ctx, s.stop = context.WithCancel(ctx)
	defer s.stop()
	context.AfterFunc(ctx, s.interrupt)
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		conn, err := s.listener.Accept()
		if ctx.Err() != nil {
			if conn != nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		s.track(conn, true)
		sessions.Go(func() {
			defer s.track(conn, false)
			newSession(s, conn).serve(ctx)
		})
	}
}

// interrupt wakes whatever waits for a client, but lets a reply that is due go out: only
// reads are ended.
func (s *Server) interrupt() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (s *Server) track(conn net.Conn, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open {
		s.conns[conn] = true
		return
	}
	delete(s.conns, conn)
	conn.Close()
}
