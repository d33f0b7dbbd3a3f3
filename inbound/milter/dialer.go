package milter

import (
	"context"
	"net"
	"sync"
	"time"
)

// dialer opens the one connection of a conversation, which ends at a time, however often the
// milter says that it makes progress.
type dialer struct {
	ctx context.Context
	end time.Time

	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

// Dial implements milter.Dialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		conn.Close()
		return nil, d.ctx.Err()
	}
	if d.conn != nil {
		_ = d.conn.Close() // an attempt in a newer version of the protocol
	}
	d.conn = conn
	return &bounded{conn, d.end}, nil
}

// close ends the connection. A second time does nothing.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.conn != nil {
		_ = d.conn.Close() // what was to be said has been
		d.conn = nil
	}
}

// bounded is a connection without deadlines behind its end.
type bounded struct {
	net.Conn
	end time.Time
}

// SetReadDeadline implements net.Conn.
func (b *bounded) SetReadDeadline(t time.Time) error { return b.Conn.SetReadDeadline(b.within(t)) }

// SetWriteDeadline implements net.Conn.
func (b *bounded) SetWriteDeadline(t time.Time) error { return b.Conn.SetWriteDeadline(b.within(t)) }

func (b *bounded) within(t time.Time) time.Time {
	if t.IsZero() || t.After(b.end) {
		return b.end
	}
	return t
}
