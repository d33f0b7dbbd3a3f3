package admin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"postrider/relay"
)

// Options is what a Server needs. Socket may be empty, and so may HTTP.
type Options struct {
	// Socket is the path of the Unix socket, which lets its owner do everything.
	Socket string
	// HTTP is an address to serve as well. Without Tokens it must be a loopback address, and
	// is for reading.
	HTTP string
	// TLS is the certificate of the address; the zero TLS serves in clear.
	TLS TLS
	// Tokens are who may use the address. With any, nobody else may.
	Tokens []Token

	// Spool, Scheduler and Now must be set.
	Spool     relay.Spool
	Scheduler *relay.Scheduler
	Now       func() time.Time
	// History knows what became of messages; without one nothing can be traced.
	History relay.History
	// Operator does what is asked for; without one nothing can be changed.
	Operator *relay.Operator
	// Reloader reads the configuration again; without one nobody does.
	Reloader Reloader
	// Metrics and Events are the observers that the routes of these names show. Both have
	// defaults that nobody tells anything.
	Metrics *Metrics
	Events  *Events
	// Trend is the observer that remembers how things went. It has a default that nobody tells
	// anything.
	Trend *Trend
	// Config shows the configuration in force, without its secrets; nil for none.
	Config func() string
	// Transcripts keeps those of sessions; nil for none.
	Transcripts Transcripts
	// Suppressions has those for whom no mail is taken; nil for none.
	Suppressions Suppressions
	// OAuthTokens shows the accounts that routes send as; nil for none.
	OAuthTokens func() []OAuthToken
	// Figures are what the parts of the relay measure by themselves.
	Figures []func() []relay.Figure
	// Importer takes in messages of other queues; without one they can only be read.
	Importer *relay.Importer
	// Checkpoint copies the spool to a directory; without one nobody can.
	Checkpoint func(ctx context.Context, dir string) error
	// Alive returns nil once the relay has proved that it moves, and waits for that until its
	// context ends. Without one it is taken to move if it answers.
	Alive func(context.Context) error
}

// Server answers operators.
type Server struct {
	o         Options
	guard     *guard
	census    *censusTaker
	pulse     *pulse
	imports   imports
	listeners []net.Listener
	http      http.Server
	// stopping ends streams, which would go on for ever.
	stopping chan struct{}
}

// stopTime is how long requests under way have when the server stops.
const stopTime = 2 * time.Second

// New binds the socket and the address. A socket that a dead process left behind is replaced,
// one that answers is not.
func New(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics("", o.Now)
	}
	if o.Events == nil {
		o.Events = NewEvents(o.Now)
	}
	if o.Trend == nil {
		o.Trend = NewTrend(o.Now)
	}
	s := &Server{o: o, guard: newGuard(o.Tokens, o.Now), stopping: make(chan struct{})}
	s.census = &censusTaker{spool: o.Spool, now: o.Now}
	s.pulse = &pulse{alive: o.Alive, now: o.Now}
	if o.Scheduler != nil {
		o.Metrics.Watch(o.Scheduler.Status, append(o.Figures, s.census.Figures, o.Scheduler.Figures, s.pulse.Figures)...)
	}
	if err := s.bind(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.http = http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, ConnContext: withPeer}
	return s, nil
}

// bind opens the listeners.
func (s *Server) bind() error {
	o := &s.o
	if o.Socket != "" {
		l, err := listenSocket(o.Socket)
		if err != nil {
			return fmt.Errorf("admin socket: %w", err)
		}
		s.listeners = append(s.listeners, l)
	}
	if o.HTTP == "" {
		return nil
	}
	l, err := listenTCP(o)
	if err != nil {
		return fmt.Errorf("admin http: %w", err)
	}
	s.listeners = append(s.listeners, l)
	return nil
}

// errOpen refuses to let strangers in.
var errOpen = errors.New("an address that others can reach needs tokens and TLS")

func listenTCP(o *Options) (net.Listener, error) {
	l, err := net.Listen("tcp", o.HTTP)
	if err != nil {
		return nil, err
	}
	loopback := l.Addr().(*net.TCPAddr).IP.IsLoopback()
	if !loopback && (len(o.Tokens) == 0 || o.TLS == TLS{}) {
		return nil, errors.Join(errOpen, l.Close())
	}
	if o.TLS == (TLS{}) {
		return l, nil
	}
	c, err := newCertificate(o.TLS, o.Now)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return tls.NewListener(l, c.config()), nil
}

func listenSocket(path string) (net.Listener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("%s: another process answers there", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%s is there and is not a socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Addr is the bound TCP address; nil when there is none.
func (s *Server) Addr() net.Addr {
	for _, l := range s.listeners {
		if l.Addr().Network() == "tcp" {
			return l.Addr()
		}
	}
	return nil
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() { failed <- s.http.Serve(l) }()
	}
	var err error
	running := len(s.listeners)
	var sampling sync.WaitGroup
	defer sampling.Wait()
	sampled, enough := context.WithCancel(ctx)
	defer enough()
	if s.o.Scheduler != nil {
		sampling.Go(func() { s.sample(sampled) })
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
		running--
	}
	close(s.stopping)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if s.http.Shutdown(stop) != nil {
		s.http.Close()
	}
	for range running {
		<-failed
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// Close unbinds what New bound. After Run there is nothing left to do.
func (s *Server) Close() error {
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// problem is the JSON of an error.
type problem struct {
	Error string `json:"error"`
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// A client that has gone away needs no answer.
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(problem{err.Error()})
}
