package integration

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// Delay is a proxy that makes a next hop far away: what goes through it takes half of the
// round-trip time each way. It counts the round trips of the sessions.
type Delay struct {
	listener net.Listener
	to       string
	half     time.Duration
	sessions sync.WaitGroup

	mu     sync.Mutex
	trips  int
	opened int
	ended  chan struct{} // closed and replaced when a session ends
}

// NewDelay starts a proxy to the address. Close ends it.
func NewDelay(to string, trip time.Duration) (*Delay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &Delay{listener: l, to: to, half: trip / 2, ended: make(chan struct{})}
	d.sessions.Go(d.accept)
	return d, nil
}

// Addr is where the proxy listens.
func (d *Delay) Addr() string { return d.listener.Addr().String() }

// Close stops listening and waits for the sessions, which are to be over.
func (d *Delay) Close() {
	d.listener.Close()
	d.sessions.Wait()
}

// Counts gives how many sessions there have been, and the round trips of all of them: how often
// the client sent something after it had heard something.
func (d *Delay) Counts() (sessions, trips int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opened, d.trips
}

// AwaitEnd waits until a session has ended.
func (d *Delay) AwaitEnd(ctx context.Context) error {
	d.mu.Lock()
	ended := d.ended
	d.mu.Unlock()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Delay) accept() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.sessions.Go(func() { d.carry(client) })
	}
}

// carry is one session.
func (d *Delay) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", d.to)
	if err != nil {
		return
	}
	defer server.Close()
	heard := true // the client's turn, as it sees it
	d.mu.Lock()
	d.opened++
	d.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() {
		d.pipe(server, client, true, func() {
			if heard {
				heard = false
				d.trips++
			}
		})
		server.(*net.TCPConn).CloseWrite()
	})
	both.Go(func() {
		d.pipe(client, server, false, func() { heard = true })
		client.(*net.TCPConn).CloseWrite()
	})
	both.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.ended)
	d.ended = make(chan struct{})
}

// piece is what was read at a time.
type piece struct {
	data []byte
	at   time.Time
}

// pipe copies, each piece its delay later, and notes it where the client is: when it sends, or
// when it hears.
func (d *Delay) pipe(to, from net.Conn, sending bool, note func()) {
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			buf := make([]byte, 64<<10)
			n, err := from.Read(buf)
			if n > 0 {
				if sending {
					d.noted(note)
				}
				pieces <- piece{buf[:n], time.Now().Add(d.half)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.at))
		if !sending {
			d.noted(note)
		}
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	io.Copy(io.Discard, from)
}

func (d *Delay) noted(note func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	note()
}
