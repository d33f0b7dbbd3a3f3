package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// logWriter stands between the log and a writer that may be slow, such as a pipe that nobody
// reads: a line costs its caller no system call and never a wait. Lines are written together
// after a moment. When the reader falls behind by more than the buffer, lines are dropped and
// their number is logged once there is room.
type logWriter struct {
	to io.Writer

	mu      sync.Mutex
	buf     bytes.Buffer
	dropped int
	closed  bool

	filled chan struct{}
	done   chan struct{}
}

const (
	logBuffer = 4 << 20
	logDelay  = 20 * time.Millisecond
)

// newLogWriter starts the goroutine that writes. Close ends it.
func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{to: to, filled: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write takes one line.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.buf.Len()+len(line) > logBuffer {
		w.dropped++
		return len(line), nil
	}
	w.buf.Write(line)
	w.poke()
	return len(line), nil
}

func (w *logWriter) poke() {
	select {
	case w.filled <- struct{}{}:
	default:
	}
}

func (w *logWriter) run() {
	defer close(w.done)
	var spare bytes.Buffer
	for range w.filled {
		var closed bool
		spare, closed = w.take(spare)
		// Nothing can be done about a log that cannot be written.
		_, _ = w.to.Write(spare.Bytes())
		if closed {
			return
		}
		time.Sleep(logDelay)
	}
}

// take swaps the filled buffer for the empty one.
func (w *logWriter) take(empty bytes.Buffer) (full bytes.Buffer, closed bool) {
	empty.Reset()
	w.mu.Lock()
	defer w.mu.Unlock()
	full, w.buf = w.buf, empty
	if w.dropped > 0 {
		fmt.Fprintf(&full, "{\"level\":\"error\",\"lines\":%d,\"message\":\"log lines dropped: the reader of the log is too slow\"}\n", w.dropped)
		w.dropped = 0
	}
	return full, w.closed
}

// closeWait is how long Close lets the last lines take.
const closeWait = 2 * time.Second

// Close writes what is left, as far as the reader takes it within a moment.
func (w *logWriter) Close() error {
	w.mu.Lock()
	w.closed = true
	w.poke()
	w.mu.Unlock()
	select {
	case <-w.done:
	case <-time.After(closeWait):
	}
	return nil
}
