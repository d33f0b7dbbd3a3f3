package main

import (
	"bytes"
	"io"
	"sync"
	"time"

	"postrider/relay"
)

// logWriter stands between the log and a writer that may be slow, such as a pipe that nobody
// reads: a line costs its caller no system call and never a wait. Lines are written together
// after a moment. When the reader falls behind by more than the buffer, lines are dropped and
// their number is logged once there is room.
type logWriter struct {
	to   io.Writer
	form logForm

	mu  sync.Mutex
	buf bytes.Buffer
	// dropped are the lines that were dropped, told those of them that the log has been told of.
	dropped, told int64
	closed        bool

	filled chan struct{}
	done   chan struct{}
}

const (
	logBuffer = 4 << 20
	logDelay  = 20 * time.Millisecond
)

// newLogWriter starts the goroutine that writes. Close ends it.
func newLogWriter(to io.Writer, form logForm) *logWriter {
	w := &logWriter{to: to, form: form, filled: make(chan struct{}, 1), done: make(chan struct{})}
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
	if lost := w.dropped - w.told; lost > 0 {
		full.Write(w.form.lost(lost))
		w.told = w.dropped
	}
	return full, w.closed
}

// Figures are for metrics.
func (w *logWriter) Figures() []relay.Figure {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []relay.Figure{
		{Name: "log_lines_dropped_total", Help: "Lines that the log lacks, because its reader was too slow.", Value: float64(w.dropped), Grows: true},
		{Name: "log_buffered_bytes", Help: "Bytes of the log that wait for its reader.", Value: float64(w.buf.Len())},
	}
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
