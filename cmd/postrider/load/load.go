package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what to send where.
type Options struct {
	// To is host:port of the server.
	To   string
	Helo string
	// Messages and For bound the run, whichever comes first.
	Messages int64
	For      time.Duration
	Sessions int
	// Size of a message in bytes, header included.
	Size int
	// Rate is messages per second over all sessions; 0 means as fast as it goes.
	Rate float64
	// From is the reverse-path. Address is the pattern of the forward-paths, in which {n} is
	// the number of the recipient, counted over the whole run, and {d} counts over and over
	// from 0 up to but not including Domains.
	From, Address string
	Domains       int64
	Recipients    int
	// PerSession is how many messages a connection carries; 0 means all.
	PerSession int
	Pipeline   bool
	// TLS encrypts by STARTTLS, whatever the certificate says: it is load, not mail.
	TLS bool
	// Timeout bounds each wait for the server.
	Timeout time.Duration
	// Run makes the ids of this run's messages differ from those of others.
	Run string
	// Accepted is told the id of each message that got its 250, one a line; nil is told nothing.
	Accepted io.Writer
	// Progress is called for each message that has come to its end.
	Progress func()
	Now      func() time.Time
}

// Load sends messages over many sessions at once.
type Load struct {
	o     Options
	maker *maker
	start time.Time
	last  atomic.Int64

	accepted, refused atomic.Int64
	latency           histogram

	mu       sync.Mutex
	failures map[string]int64
}

// New checks the options; the error names the flag at fault.
func New(o Options) (*Load, error) {
	for _, bound := range []struct {
		flag string
		ok   bool
	}{
		{"--messages", o.Messages > 0},
		{"--sessions", o.Sessions > 0},
		{"--recipients", o.Recipients > 0},
		{"--for", o.For > 0},
		{"--timeout", o.Timeout > 0},
		{"--rate", o.Rate >= 0},
		{"--messages-per-session", o.PerSession >= 0},
	} {
		if !bound.ok {
			return nil, fmt.Errorf("%s: out of range", bound.flag)
		}
	}
	if _, _, err := net.SplitHostPort(o.To); err != nil {
		return nil, fmt.Errorf("--to %q: want host:port", o.To)
	}
	return &Load{o: o, maker: newMaker(o.Run, o.From, o.Size), failures: make(map[string]int64)}, nil
}

// Run sends until all messages have come to an end, the time is up, or the context ends.
func (l *Load) Run(ctx context.Context) Report {
	ctx, stop := context.WithTimeout(ctx, l.o.For)
	defer stop()
	l.start = l.o.Now()
	var sessions sync.WaitGroup
	for range min(int64(l.o.Sessions), l.o.Messages) {
		sessions.Go(func() { l.session(ctx) })
	}
	sessions.Wait()
	return l.report(l.o.Now().Sub(l.start))
}

// session sends its share over one connection after the other.
func (l *Load) session(ctx context.Context) {
	var client *client
	defer func() {
		if client != nil {
			client.close(ctx)
		}
	}()
	pause := pauseFirst
	for {
		n, ok := l.next(ctx)
		if !ok {
			return
		}
		if client == nil {
			var err error
			client, err = dial(ctx, &l.o)
			if err != nil && ctx.Err() == nil {
				l.fail(err)
				wait(ctx, pause)
				pause = min(2*pause, pauseMost)
			}
			if err != nil {
				continue
			}
			pause = pauseFirst
		}
		client = l.deliver(ctx, client, n)
	}
}

// How long a session waits after it could not connect.
const (
	pauseFirst = 20 * time.Millisecond
	pauseMost  = time.Second
)

// next takes the number of the next message and waits until its time has come.
func (l *Load) next(ctx context.Context) (int64, bool) {
	n := l.last.Add(1)
	if n > l.o.Messages || ctx.Err() != nil {
		return 0, false
	}
	if l.o.Rate > 0 {
		due := l.start.Add(time.Duration(float64(n-1) / l.o.Rate * float64(time.Second)))
		wait(ctx, due.Sub(l.o.Now()))
	}
	return n, ctx.Err() == nil
}

// deliver sends the n-th message and gives the client for the next one; nil when the
// connection is used up.
func (l *Load) deliver(ctx context.Context, c *client, n int64) *client {
	m := message{from: l.o.From, to: l.addresses(n)}
	m.pad = l.maker.make(&m.head, n, l.o.Now())
	took, err := c.send(ctx, m)
	if err != nil {
		l.fail(err)
		var reply *answer
		if errors.As(err, &reply) && reply.code != 421 && c.reset(ctx) {
			return c
		}
		c.abandon()
		return nil
	}
	l.latency.add(took)
	l.accept(n)
	if l.o.PerSession > 0 && c.sent >= l.o.PerSession {
		c.close(ctx)
		return nil
	}
	return c
}

func (l *Load) addresses(n int64) []string {
	to := make([]string, l.o.Recipients)
	for i := range to {
		number := (n-1)*int64(l.o.Recipients) + int64(i) + 1
		to[i] = strings.NewReplacer(
			"{n}", strconv.FormatInt(number, 10), "{d}", strconv.FormatInt(number%l.o.Domains, 10),
		).Replace(l.o.Address)
	}
	return to
}

func (l *Load) accept(n int64) {
	l.accepted.Add(1)
	l.o.Progress()
	if l.o.Accepted != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		fmt.Fprintln(l.o.Accepted, l.maker.id(n))
	}
}

// fail counts a message that did not get its 250, by the code of the reply or by what
// became of the connection.
func (l *Load) fail(err error) {
	l.refused.Add(1)
	l.o.Progress()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures[failureName(err)]++
}

func failureName(err error) string {
	var reply *answer
	var netErr net.Error
	switch {
	case errors.As(err, &reply):
		return strconv.Itoa(reply.code)
	case errors.As(err, &netErr) && netErr.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.As(err, &netErr):
		return "connection"
	}
	return "protocol"
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
