package inbound_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"postrider/relay"
)

// nowhere is a spool that forgets.
type nowhere struct{ relay.Spool }

func (nowhere) Admit(int64) error                           { return nil }
func (nowhere) Create(context.Context) (relay.Draft, error) { return forgotten{}, nil }

type forgotten struct{}

func (forgotten) Write(p []byte) (int, error)      { return len(p), nil }
func (forgotten) Body() (io.ReadSeekCloser, error) { return nil, io.EOF }
func (forgotten) Commit(context.Context, *relay.Message, []relay.Delivery, ...relay.Event) error {
	return nil
}
func (forgotten) Discard() {}

// silent is an observer that forgets.
type silent struct{ relay.Observer }

func (silent) Accepted(relay.Accepted) {}

// BenchmarkAccept takes messages from pipelining clients and forgets them. The clients'
// CPU time is in cpu-µs/op too.
func BenchmarkAccept(b *testing.B) {
	for _, test := range []struct{ sessions, size int }{{1, 4 << 10}, {10, 4 << 10}, {100, 4 << 10}, {10, 1 << 20}} {
		b.Run(fmt.Sprintf("sessions=%d/size=%d", test.sessions, test.size), func(b *testing.B) {
			h := newHouse(b)
			h.receiveInto(nowhere{}, silent{})
			h.open()
			ctx, cancel := context.WithCancel(context.Background())
			go func() { h.ended <- h.server.Run(ctx) }()
			b.SetBytes(int64(test.size))
			b.ReportAllocs()
			before := cpu()
			b.ResetTimer()
			h.load(test.sessions, message(test.size))
			b.StopTimer()
			b.ReportMetric(float64(cpu()-before)/1e3/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			cancel()
			if err := <-h.ended; err != nil {
				b.Error(err)
			}
		})
	}
}

// load has the sessions send b.N messages between them.
func (h *house) load(sessions int, message []byte) {
	b := h.t.(*testing.B)
	var left atomic.Int64
	left.Store(int64(b.N))
	ended := make(chan error)
	for range sessions {
		go func() { ended <- deliver(h.addr(), &left, message) }()
	}
	for range sessions {
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}
}

func deliver(addr string, left *atomic.Int64, message []byte) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if err := exchange(conn, r, nil, "220"); err != nil {
		return err
	}
	if err := exchange(conn, r, []byte("HELO client.example\r\n"), "250"); err != nil {
		return err
	}
	envelope := []byte("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
	for left.Add(-1) >= 0 {
		if err := exchange(conn, r, envelope, "250", "250", "354"); err != nil {
			return err
		}
		if err := exchange(conn, r, message, "250"); err != nil {
			return err
		}
	}
	return nil
}

// exchange sends a group and reads its replies, of one line each.
func exchange(conn net.Conn, r *bufio.Reader, group []byte, codes ...string) error {
	if _, err := conn.Write(group); err != nil {
		return err
	}
	for _, code := range codes {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(line, []byte(code)) {
			return fmt.Errorf("got %q, want %s", line, code)
		}
	}
	return nil
}

// message is one of the size, in lines of 78 bytes.
func message(size int) []byte {
	line := strings.Repeat("x", 76) + "\r\n"
	return []byte("Subject: x\r\n\r\n" + strings.Repeat(line, size/len(line)) + ".\r\n")
}

// cpu is the process's CPU time so far, in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
