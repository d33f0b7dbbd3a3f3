package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Received is a message as a Sink reports it.
type Received struct {
	Number    int64     `json:"message"`
	Session   int64     `json:"session"`
	Open      int64     `json:"sessions_open"`
	At        time.Time `json:"at"`
	From      string    `json:"from"`
	To        []string  `json:"to"`
	Size      int64     `json:"size"`
	MessageID string    `json:"message_id"`
	LoadID    string    `json:"load_id"`
	Damaged   bool      `json:"damaged"`
}

// SinkSummary is what a Sink has seen in all.
type SinkSummary struct {
	Sessions int64 `json:"sessions"`
	Peak     int64 `json:"sessions_at_once"`
	Messages int64 `json:"messages"`
	Damaged  int64 `json:"damaged"`
}

// Sink is a postrider sink that reports each message.
type Sink struct {
	*Process
	addr string

	mu       sync.Mutex
	received []Received
	summary  SinkSummary
	changed  chan struct{}
}

// StartSink starts a sink on the address, "127.0.0.1:0" for any port, with further
// arguments for the faults it should have.
func StartSink(ctx context.Context, binary, listen string, args ...string) (*Sink, error) {
	s := &Sink{changed: make(chan struct{})}
	args = append([]string{"sink", "--listen", listen, "--print", "envelope", "--json"}, args...)
	p, err := Start(exec.Command(binary, args...), s.take)
	if err != nil {
		return nil, err
	}
	s.Process = p
	line, err := p.Await(ctx, "listening", func(line string) bool { return parseLogLine(line).Message == "listening" })
	if err != nil {
		p.Kill()
		return nil, err
	}
	s.addr = parseLogLine(line).Addr
	return s, nil
}

// Addr is where the sink listens.
func (s *Sink) Addr() string { return s.addr }

func (s *Sink) take(line string) {
	var message struct {
		Received
		Summary *SinkSummary `json:"summary"`
	}
	if err := json.Unmarshal([]byte(line), &message); err != nil {
		s.remember(fmt.Sprintf("not JSON: %q: %v", line, err))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if message.Summary != nil {
		s.summary = *message.Summary
		return
	}
	s.received = append(s.received, message.Received)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Received gives the messages so far, in the order of their arrival.
func (s *Sink) Received() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Received(nil), s.received...)
}

// Summary ends the sink and gives what it has seen.
func (s *Sink) Summary() (SinkSummary, error) {
	code, err := s.Stop()
	if err == nil && code != 0 {
		err = fmt.Errorf("sink ended with code %d: %s", code, strings.Join(s.Lines(), "\n"))
	}
	return s.summary, err
}

// Await waits until the condition holds; it is looked at after each message.
func (s *Sink) Await(ctx context.Context, what string, condition func([]Received) bool) error {
	for {
		s.mu.Lock()
		received, changed := s.received, s.changed
		s.mu.Unlock()
		if condition(received) {
			return nil
		}
		select {
		case <-changed:
		case <-s.Done():
			return fmt.Errorf("sink ended while %d messages had come and %s was waited for", len(received), what)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s, %d messages have come: %w", what, len(received), ctx.Err())
		}
	}
}
