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
	// hurryTimeout bounds the last words of one of too many who have been told to go.
	hurryTimeout = 10 * time.Millisecond
)

// hangUp sends what is left to say and closes. Without patience it is sent all the same, as far as there is room for
// it: it may have the 250 of a message.
func (w *wire) hangUp(patient bool) error {
	// The session is not counted any more, and no cut finds it: its last words have no time to wait.
	w.limits.Idle = min(w.limits.Idle, lingerTimeout)
	if !patient {
		w.limits.Idle = min(w.limits.Idle, hurryTimeout)
	}
	w.parting = patient
	err := w.out.Flush()
	if err == nil && patient {
		w.linger()
	}
	return errors.Join(err, w.conn.Close())
}

// send writes to the client. Last words go with the end of the connection in one segment, as far as
// the system is concerned: they wait in the kernel for the end that follows at once.
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

// linger sends the end of what we say, and gives a client that is still sending the time to read our last words: to
// close with input unread resets the connection, and takes back what is not on its way.
func (w *wire) linger() {
	c, ok := w.conn.(interface{ CloseWrite() error })
	// Nothing is found to read while the deadline has passed, which it has where that ended the session.
	if !ok || c.CloseWrite() != nil || w.raw.SetReadDeadline(w.now().Add(lingerTimeout)) != nil {
		return
	}
	if w.hasInput() {
		io.CopyN(io.Discard, w.raw, lingerSize) // whatever it ends with, the end is near
	}
}
