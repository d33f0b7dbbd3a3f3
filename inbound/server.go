package inbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postrider/inbound/auth"
)

// Server takes SMTP sessions at its listeners.
type Server struct {
	options Options
	users   atomic.Pointer[auth.Authority] // nil where no listener authenticates
	roster  *roster
	tally   *tally
	meters  *meters
	// failed has the error of a door that ended by itself.
	failed chan error
	// accepting are the goroutines of the doors.
	accepting sync.WaitGroup

	mu    sync.Mutex
	doors []*door
	// serving says that doors are to be served as they come.
	serving bool

	// crew runs the sessions, for which Run waits.
	crew *crew
	// ran says that Run was called.
	ran atomic.Bool
	// ctx is that of all sessions. It outlives Run's by Grace.
	ctx context.Context
	end context.CancelFunc
}

// New binds the listeners and loads certificates and users, and reports every fault of the
// options at once. Clients can connect when it returns; they are served once Run is called.
// Close gives up a server that is not run.
func New(options Options) (*Server, error) {
	s, err := prepare(options)
	if err == nil {
		err = s.bind()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("inbound: %w", err), s.Close())
	}
	return s, nil
}

// prepare makes a server without doors. With an error it may be nil, or hold what is to be closed.
func prepare(options Options) (*Server, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	if options.Receiver == nil || options.Observer == nil {
		return nil, errors.New("no receiver or no observer")
	}
	options = options.withDefaults()
	s := &Server{
		options: options, roster: newRoster(options.Limits), tally: newTally(), meters: newMeters(options.Now, metersKept),
		failed: make(chan error, 1), crew: newCrew(),
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s, s.openUsers()
}

func (s *Server) openUsers() error {
	users, err := s.newUsers(s.options)
	s.users.Store(users)
	return err
}

// newUsers makes them if a listener has a use for them; nil if none has.
func (s *Server) newUsers(options Options) (*auth.Authority, error) {
	if !slices.ContainsFunc(options.Listeners, Listener.authenticates) {
		return nil, nil
	}
	o := options.Users
	o.Fault, o.Now = options.Observer.Faulted, options.Now
	return auth.New(o)
}

func (s *Server) bind() error {
	for _, l := range s.options.Listeners {
		d, err := newDoor(s, l, s.options.Limits)
		if err != nil {
			return err
		}
		s.doors = append(s.doors, d)
	}
	return nil
}

// Addrs gives the address that each listener is bound to, by its name.
func (s *Server) Addrs() map[string]net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make(map[string]net.Addr, len(s.doors))
	for _, d := range s.doors {
		addrs[d.manners.Load().options.Name] = d.Addr()
	}
	return addrs
}

// Reload reads the certificates of all listeners again, which happens by itself when their
// files change. Sessions go on. What cannot be read leaves its listener as it was.
func (s *Server) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var faults []error
	for _, d := range s.doors {
		m := d.manners.Load()
		if m.keys == nil {
			continue
		}
		if err := m.keys.reload(); err != nil {
			faults = append(faults, fmt.Errorf("listener %s: %w", m.options.Name, err))
		}
	}
	return errors.Join(faults...)
}

// Run serves until ctx ends, then drains: no new clients, 421 to those between commands,
// and up to Grace for messages that are being received. It returns when the last session
// has ended; nil is a clean stop. A server is run once.
func (s *Server) Run(ctx context.Context) error {
	s.ran.Store(true)
	s.mu.Lock()
	s.serving = true
	for _, d := range s.doors {
		s.serve(d)
	}
	s.mu.Unlock()
	var failed error
	select {
	case <-ctx.Done():
	case err := <-s.failed:
		failed = fmt.Errorf("inbound: a listener ended: %w", err)
	}
	s.closeDoors() // a door that does not close well is closed all the same
	s.accepting.Wait()
	s.drain()
	return errors.Join(failed, s.closeUsers())
}

// serve takes clients in at a door. The server's mu is held.
func (s *Server) serve(d *door) {
	s.accepting.Go(func() {
		err := d.serve()
		if d.isClosed() {
			return
		}
		select {
		case s.failed <- err:
		default: // it is not the first
		}
	})
}

// drain ends all sessions. No new ones can begin any more.
func (s *Server) drain() {
	s.roster.drain()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.crew.dismiss()
	}()
	timer := time.NewTimer(s.options.Grace)
	defer timer.Stop()
	select {
	case <-gone:
	case <-timer.C:
		s.end()
		s.roster.cut()
		<-gone
	}
	s.end()
}

// Close stops listening, and gives up what a server that was not run holds. Run does it too;
// a second time does nothing.
func (s *Server) Close() error {
	if s == nil {
		return nil
	}
	err := s.closeDoors()
	if s.ran.Load() {
		return err // sessions may still ask about users
	}
	s.end()
	return errors.Join(err, s.closeUsers())
}

func (s *Server) closeUsers() error {
	users := s.users.Load()
	if users == nil {
		return nil
	}
	return users.Close()
}

func (s *Server) closeDoors() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving = false
	var faults []error
	for _, d := range s.doors {
		if err := d.Close(); !errors.Is(err, net.ErrClosed) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}
