package transcript

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Info is how a transcript stands.
type Info struct {
	ID string `json:"id"`
	Order
	Begun time.Time `json:"begun"`
	// Until is when it ends by itself.
	Until time.Time `json:"until"`
	// Ended is when it did, zero while it goes on, and Why says why.
	Ended time.Time `json:"ended,omitzero"`
	Why   string    `json:"why,omitempty"`
	// Bytes is the size of the file, Sessions how many sessions it has, Lost how many lines were
	// lost to a disk that could not keep up. Of transcripts of an earlier run only Bytes is known.
	Bytes    int64 `json:"bytes"`
	Sessions int64 `json:"sessions"`
	Lost     int64 `json:"lost"`
}

// bufferMost is how much of a transcript waits in memory to be written.
const bufferMost = 256 << 10

// record is a transcript that is being made. Sessions put lines in, the book's Run writes them.
type record struct {
	client netip.Prefix
	file   *os.File

	mu   sync.Mutex
	info Info
	// waiting is what is to be written.
	waiting bytes.Buffer
	// changed is closed when there is more in the file, or when it has ended.
	changed chan struct{}
}

// begin makes the file, whose first line is what was ordered.
func begin(path string, info Info, client netip.Prefix) (*record, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	r := &record{client: client, file: f, info: info, changed: make(chan struct{})}
	head, err := json.Marshal(info)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&r.waiting, "%s%s\n", headMark, head)
	return r, r.flush()
}

// headMark begins the first line of a file.
const headMark = "# "

// Write takes a line of a session. It never waits for the disk.
func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.info.Ended.IsZero():
	case r.waiting.Len()+len(line) > bufferMost:
		r.info.Lost++
	default:
		r.waiting.Write(line)
	}
	return len(line), nil
}

// enter counts a session.
func (r *record) enter() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.info.Sessions++
}

// flush writes what waits, as far as there is room for it, and says what went wrong. It is
// called by one goroutine at a time.
func (r *record) flush() error {
	r.mu.Lock()
	text := bytes.Clone(r.waiting.Bytes())
	r.waiting.Reset()
	room := r.info.Size - r.info.Bytes
	r.mu.Unlock()
	if len(text) == 0 {
		return nil
	}
	full := int64(len(text)) > room
	if full {
		text = text[:bytes.LastIndexByte(text[:max(room, 0)], '\n')+1]
	}
	n, err := r.file.Write(text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.info.Bytes += int64(n)
	r.tell()
	if err == nil && full {
		err = errFull
	}
	return err
}

// tell wakes those who read along. mu is held.
func (r *record) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// end closes the file.
func (r *record) end(now time.Time, why string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.info.Ended.IsZero() {
		return nil
	}
	r.info.Ended, r.info.Why = now, why
	r.waiting.Reset()
	r.tell()
	return r.file.Close()
}

// state is how it stands, and what is closed when there is more.
func (r *record) state() (Info, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.info, r.changed
}
