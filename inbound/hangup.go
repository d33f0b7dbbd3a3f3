package inbound

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// lingerTimeout and lingerSize bound what is read of a client that has been told to go.
const (
	lingerTimeout = time.Second
	lingerSize    = 1 << 20
)

// hangUp sends what is left to say and closes.
func (w *wire) hangUp() error {
	// The session is not counted any more, and no cut finds it: its last words have no time to wait.
	w.limits.Idle = min(w.limits.Idle, lingerTimeout)
	heard := !w.hasInput()
	w.parting = heard
	err := w.out.Flush()
	if err == nil && !heard {
		w.linger()
	}
	return errors.Join(err, w.conn.Close())
}

// send writes to the client. Last words go with the end of the connection in one segment, as far as
// the system is concerned: they wait in the kernel for the close that follows at once.
func (w *wire) send(p []byte) (int, error) {
	c, ok := w.conn.(*net.TCPConn)
	if !ok || !w.parting {
		return w.conn.Write(p)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		n, failed = sendMore(int(fd), p, n)
		return failed != syscall.EAGAIN
	})
	return n, errors.Join(err, failed)
}

// sendMore sends p from its byte n on, and says that more follows. It returns how far it came.
func sendMore(fd int, p []byte, n int) (int, error) {
	for n < len(p) {
		m, err := syscall.SendmsgN(fd, p[n:], nil, nil, syscall.MSG_MORE|syscall.MSG_NOSIGNAL)
		switch err {
		case nil:
			n += m
		case syscall.EINTR:
		default:
			return n, err
		}
	}
	return n, nil
}

// hasInput says whether the client has sent something that is not read yet, without waiting.
func (w *wire) hasInput() bool {
	c, ok := w.raw.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	has := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		has = err == nil && n > 0
		return true
	})
	return err == nil && has
}

// linger gives a client that is still sending the time to read our last words: to close
// with input unread resets the connection, and takes them back.
func (w *wire) linger() {
	c, ok := w.conn.(interface{ CloseWrite() error })
	if ok && c.CloseWrite() == nil && w.raw.SetReadDeadline(w.now().Add(lingerTimeout)) == nil {
		io.CopyN(io.Discard, w.raw, lingerSize) // whatever it ends with, the end is near
	}
}
