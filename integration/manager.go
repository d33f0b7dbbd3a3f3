package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Manager is what a service manager is to a relay: it keeps the listening socket over
// restarts (sd_listen_fds(3)), and hears how the relay is (sd_notify(3)).
type Manager struct {
	// Watchdog is how often it wants to hear; 0 for never.
	Watchdog time.Duration

	socket *os.File
	addr   string
	notify *net.UnixConn
	path   string

	mu      sync.Mutex
	heard   []string
	changed chan struct{}
}

// NewManager binds a socket on loopback, and one in the folder to be told at.
func NewManager(dir string) (*Manager, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	m := &Manager{addr: l.Addr().String(), path: filepath.Join(dir, "notify.sock"), changed: make(chan struct{})}
	if m.socket, err = l.(*net.TCPListener).File(); err != nil {
		return nil, err
	}
	m.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		return nil, errors.Join(err, m.socket.Close())
	}
	go m.listen()
	return m, nil
}

func (m *Manager) listen() {
	buf := make([]byte, 4096)
	for {
		n, err := m.notify.Read(buf)
		if err != nil {
			return
		}
		m.mu.Lock()
		m.heard = append(m.heard, strings.Split(string(buf[:n]), "\n")...)
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
	}
}

// Addr is where clients connect.
func (m *Manager) Addr() string { return m.addr }

// Close gives the sockets up.
func (m *Manager) Close() error { return errors.Join(m.socket.Close(), m.notify.Close()) }

// Prepare makes a command one that the manager has started, with the socket under a name.
// The process must be told its own number, which a shell knows that becomes it.
func (m *Manager) Prepare(cmd *exec.Cmd, name string) {
	const script = `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" "$@"`
	cmd.Args = append([]string{"sh", "-c", script, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.ExtraFiles = []*os.File{m.socket}
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES="+name, "NOTIFY_SOCKET="+m.path)
	if m.Watchdog > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("WATCHDOG_USEC=%d", m.Watchdog.Microseconds()))
	}
}

// Count says how often the manager has been told so.
func (m *Manager) Count(state string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count(state)
}

func (m *Manager) count(state string) (n int) {
	for _, heard := range m.heard {
		if heard == state {
			n++
		}
	}
	return n
}

// Await waits until the manager has been told so as many times.
func (m *Manager) Await(ctx context.Context, state string, times int) error {
	for {
		m.mu.Lock()
		n, changed := m.count(state), m.changed
		m.mu.Unlock()
		if n >= times {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting to hear %s for the %d. time: %w", state, times, ctx.Err())
		}
	}
}
