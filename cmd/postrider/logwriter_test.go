package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
)

// A log line never waits, and what is lost while nobody reads is counted.
func TestLogWriterNeverWaits(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	log := newLogWriter(w, logForm{})
	line := []byte(strings.Repeat("x", 1023) + "\n")
	const lines = 2 * logBuffer / 1024
	for range lines {
		if n, err := log.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if held := log.buf.Cap(); held > 2*logBuffer {
		t.Errorf("%d bytes held for a reader that does not read, want at most %d", held, 2*logBuffer)
	}
	dropped := log.Figures()[0].Value
	var got bytes.Buffer
	var reader sync.WaitGroup
	reader.Go(func() { io.Copy(&got, r) })
	log.Close()
	w.Close()
	reader.Wait()
	if kept := strings.Count(got.String(), string(line)); kept < lines/4 || kept >= lines {
		t.Errorf("%d of %d lines kept", kept, lines)
	}
	if kept := strings.Count(got.String(), string(line)); kept+int(dropped) != lines || !strings.Contains(got.String(), fmt.Sprintf(`"lines":%.0f,`, dropped)) {
		t.Errorf("%d lines kept of %d, and %.0f counted as dropped, or the log does not say so", kept, lines, dropped)
	}
}

// What was logged before Close is written.
func TestLogWriterCloses(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	log := newLogWriter(&got, logForm{})
	for range 100 {
		io.WriteString(log, "line\n")
	}
	log.Close()
	if want := strings.Repeat("line\n", 100); got.String() != want {
		t.Errorf("got %d bytes, want %d", got.Len(), len(want))
	}
}
