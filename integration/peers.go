package integration

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Lacking gives the first of the programs that is not installed, "" when all are.
func Lacking(programs ...string) string {
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			return name
		}
	}
	return ""
}

// FreePort gives a port of 127.0.0.1 that nothing listens on, for peers that cannot say
// which one the operating system gave them. It is below those that the system gives away
// by itself (from 32768 on Linux), so that no other socket takes it before the peer does.
func FreePort() (int, error) {
	const lowest, highest = 10_000, 32_000
	for range highest - lowest {
		port := lowest + rand.IntN(highest-lowest)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

// awaitGreeting waits until the process greets as an SMTP server on the address.
func awaitGreeting(ctx context.Context, p *Process, addr string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if greets(addr) {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.Done():
			return fmt.Errorf("%s ended: %w; it said:\n%s", p.cmd.Path, p.err, strings.Join(p.Lines(), "\n"))
		case <-ctx.Done():
			return fmt.Errorf("no SMTP server on %s: %w", addr, ctx.Err())
		}
	}
}

func greets(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	greeting := make([]byte, 4)
	_, err = conn.Read(greeting)
	fmt.Fprint(conn, "QUIT\r\n")
	return err == nil && string(greeting[:3]) == "220"
}

// SMTPSource is one run of smtp-source, which knows nothing of us. It reuses its sessions
// and does not pipeline.
type SMTPSource struct {
	// To is the server's address; Recipient is whom the messages are for, sink@example.net if empty.
	To, Recipient  string
	Sessions, Size int
	Messages       int
}

// Run sends all messages and gives how long that took.
func (s SMTPSource) Run(ctx context.Context) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, "smtp-source", "-d", "-C", "20",
		"-s", strconv.Itoa(s.Sessions), "-m", strconv.Itoa(s.Messages), "-l", strconv.Itoa(s.Size),
		"-f", "source@example.com", "-t", cmp.Or(s.Recipient, "sink@example.net"), s.To)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("smtp-source to %s: %w: %s", s.To, err, out)
	}
	return time.Since(start), nil
}

// SMTPSink is an smtp-sink that counts.
type SMTPSink struct {
	*Process
	addr               string
	options            []string
	sessions, messages atomic.Int64
}

// counterLine is what smtp-sink -c draws again and again.
var counterLine = regexp.MustCompile(`sess=(\d+) quit=\d+ mesg=(\d+)`)

// StartSMTPSink starts a sink on a port of its own, with further options of the program.
func StartSMTPSink(ctx context.Context, options ...string) (*SMTPSink, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	s := &SMTPSink{addr: fmt.Sprintf("127.0.0.1:%d", port), options: options}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// open starts the program, which begins to count anew.
func (s *SMTPSink) open(ctx context.Context) (err error) {
	args := append(slices.Clone(s.options), "-c", "-m", "1000", s.addr, "1000")
	if os.Getuid() == 0 {
		args = append([]string{"-u", "nobody"}, args...) // it refuses to run as root
	}
	cmd := exec.Command("smtp-sink", args...)
	cmd.Stdout = &counterWriter{s: s}
	if s.Process, err = Start(cmd, nil); err != nil {
		return err
	}
	if err := awaitGreeting(ctx, s.Process, s.addr); err != nil {
		s.Kill()
		return err
	}
	return nil
}

// Reopen starts the sink again after its end, on the same address, with nothing counted.
func (s *SMTPSink) Reopen(ctx context.Context) error {
	<-s.Done()
	s.sessions.Store(0)
	s.messages.Store(0)
	return s.open(ctx)
}

// counterWriter reads the counters, which are drawn over each other: each ends with a
// carriage return.
type counterWriter struct {
	s    *SMTPSink
	rest []byte
}

func (w *counterWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	end := bytes.LastIndexByte(w.rest, '\r') + 1
	if all := counterLine.FindAllSubmatch(w.rest[:end], -1); all != nil {
		last := all[len(all)-1]
		sessions, _ := strconv.ParseInt(string(last[1]), 10, 64)
		messages, _ := strconv.ParseInt(string(last[2]), 10, 64)
		w.s.sessions.Store(sessions)
		w.s.messages.Store(messages)
	}
	w.rest = append(w.rest[:0], w.rest[end:]...)
	return len(p), nil
}

// Addr is where the sink listens.
func (s *SMTPSink) Addr() string { return s.addr }

// Messages is how many messages have come.
func (s *SMTPSink) Messages() int { return int(s.messages.Load()) }

// Sessions is how many sessions have been opened, one of them by StartSMTPSink.
func (s *SMTPSink) Sessions() int { return int(s.sessions.Load()) }

// Await waits for n messages.
func (s *SMTPSink) Await(ctx context.Context, n int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.Messages() < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("smtp-sink has %d messages of %d: %w; %s", s.Messages(), n, ctx.Err(), strings.Join(s.Lines(), "\n"))
		}
	}
	return nil
}
