package delegation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// idle is how long a connection is kept that nobody uses. Servers close theirs as well.
const idle = time.Minute

// pool has the connections to a service. Each is used for one question at a time.
type pool struct {
	network, address string
	slots            chan struct{}

	mu   sync.Mutex
	free []*conn
}

// conn is a connection. While it is free, timer ends it in time.
type conn struct {
	net.Conn
	r     *bufio.Reader
	timer *time.Timer
}

func newPool(network, address string, connections int) *pool {
	return &pool{network: network, address: address, slots: make(chan struct{}, connections)}
}

// errBusy says nothing of the service.
var errBusy = errors.New("there was no turn in time: too many questions at once")

// ask sends the question and gives the action that answers it. A connection that was used before may
// have ended in the meantime: then the question goes over a new one.
func (p *pool) ask(ctx context.Context, end time.Time, text string) (string, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return "", errBusy
	}
	for c := p.take(); c != nil; c = p.take() {
		action, err := p.over(ctx, c, end, text)
		if err == nil || ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return action, err
		}
	}
	dialed, err := new(net.Dialer).DialContext(ctx, p.network, p.address)
	if err != nil {
		return "", err
	}
	return p.over(ctx, &conn{Conn: dialed, r: bufio.NewReaderSize(dialed, maxAnswer)}, end, text)
}

// over asks over the connection, which is free again after an answer and closed after a failure.
func (p *pool) over(ctx context.Context, c *conn, end time.Time, text string) (string, error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	action, err := c.ask(end, text)
	// A connection whose deadline is moved behind our back is of no use for the next question, nor
	// is one with bytes that nobody asked for.
	if !stop() || err != nil || c.r.Buffered() > 0 {
		_ = c.Close() // what was to be said has been
		return action, err
	}
	p.release(c)
	return action, nil
}

func (c *conn) ask(end time.Time, text string) (string, error) {
	if err := c.SetDeadline(end); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return "", fmt.Errorf("ask: %w", err)
	}
	return readAction(c.r)
}

// take gives the connection that was used last; nil when none is free.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.free)
	if n == 0 {
		return nil
	}
	c := p.free[n-1]
	p.free = p.free[:n-1]
	c.timer.Stop() // when it has run, the connection is closed, which the question will find
	return c
}

func (p *pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.timer = time.AfterFunc(idle, func() { p.drop(c) })
	p.free = append(p.free, c)
}

// drop closes a connection that nobody has used for long.
func (p *pool) drop(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.free {
		if f == c {
			p.free = append(p.free[:i], p.free[i+1:]...)
			_ = c.Close() // nothing was under way
			return
		}
	}
}
