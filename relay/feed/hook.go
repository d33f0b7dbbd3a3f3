package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// How webhooks are tried: events are gathered for linger, a batch has at most batchMost, and
// one that is not taken is tried again after retryFirst, and ever later up to retryMost.
const (
	linger     = time.Second
	batchMost  = 100
	retryFirst = time.Second
	retryMost  = 5 * time.Minute
)

// hook is a webhook and its place in the outbox, which is remembered each time that a batch
// was taken.
type hook struct {
	w      Webhook
	f      *Feed
	secret []byte
	poke   chan struct{}
	sent   atomic.Int64
	failed atomic.Int64

	mu  sync.Mutex
	own remembered
	// since is since when nothing was taken; zero while all is.
	since time.Time
}

// remembered is what is kept of a webhook.
type remembered struct {
	place
	// Missed are events that were dropped, which it is still to be told.
	Missed int64 `json:"missed,omitempty"`
}

// newHook begins where the webhook was, and a new one at the end.
func newHook(w Webhook, f *Feed) (*hook, error) {
	secret, err := secretOf(w.Secret)
	if err != nil {
		return nil, err
	}
	h := &hook{w: w, f: f, secret: secret, poke: make(chan struct{}, 1)}
	text, err := os.ReadFile(h.file())
	if errors.Is(err, fs.ErrNotExist) {
		h.own.place = f.box.end()
		return h, h.remember()
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &h.own); err != nil {
		return nil, fmt.Errorf("%s: %w", h.file(), err)
	}
	return h, nil
}

func (h *hook) file() string { return filepath.Join(h.f.o.Dir, "place-"+h.w.Name+".json") }

// place is where the webhook is.
func (h *hook) place() place {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.own.place
}

// skip moves the webhook out of a segment that goes, and gives how many lines it misses.
func (h *hook) skip(segment int64, next place, count func(place) int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.own.Segment > segment {
		return 0
	}
	n := count(h.own.place)
	h.own.place = next
	h.own.Missed += n
	return n
}

// remember writes the place down, whole or not at all. It is not synced: at worst a batch is
// sent again.
func (h *hook) remember() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	text, err := json.Marshal(h.own)
	if err != nil {
		return err
	}
	temporary := h.file() + ".new"
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, h.file())
}

// wake says that there is something new.
func (h *hook) wake() {
	select {
	case h.poke <- struct{}{}:
	default:
	}
}

// run sends batches until ctx ends.
func (h *hook) run(ctx context.Context) {
	var failures int
	for ctx.Err() == nil {
		b, err := h.next()
		wait := time.Duration(0)
		switch {
		case err != nil:
			h.f.faults.tellOnce("read the outbox of webhooks", err)
			wait = retryMost
		case len(b.events) > 0:
			if err := h.post(ctx, &b); err != nil {
				failures++
				h.fails()
				if ctx.Err() == nil {
					h.f.faults.tellOnce("send webhooks to "+h.w.Name, err)
				}
				wait = h.backoff(failures)
				break
			}
			failures = 0
			h.took(&b)
		case b.next != b.from:
			h.took(&b) // there was nothing for it
		default:
			h.await(ctx)
			wait = linger
		}
		pause(ctx, wait)
	}
}

// fails counts a batch that was not taken.
func (h *hook) fails() {
	h.failed.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		h.since = h.f.o.Now()
	}
}

// failing is for how long nothing was taken.
func (h *hook) failing(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		return 0
	}
	return now.Sub(h.since)
}

// backoff is how long to wait after so many failures.
func (h *hook) backoff(failures int) time.Duration {
	most := min(retryFirst<<min(failures-1, 20), retryMost)
	chance := rand.Float64
	if h.f.o.Chance != nil {
		chance = h.f.o.Chance
	}
	return most/2 + time.Duration(chance()*float64(most/2))
}

// await waits for something new.
func (h *hook) await(ctx context.Context) {
	select {
	case <-h.poke:
	case <-ctx.Done():
	}
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// batch is what is sent at once.
type batch struct {
	// from and next are the places before and behind it.
	from, next place
	missed     int64
	events     []json.RawMessage
	first      string
	last       string
}

// seen is what is read of a line.
type seen struct {
	ID          string `json:"event_id"`
	Event       string `json:"event"`
	From        string `json:"from"`
	To          string `json:"to"`
	Destination string `json:"destination"`
}

// next gathers a batch.
func (h *hook) next() (batch, error) {
	h.mu.Lock()
	b := batch{from: h.own.place, missed: h.own.Missed}
	h.mu.Unlock()
	lines, next, err := h.f.box.read(b.from)
	if err != nil {
		return b, err
	}
	b.next = next
	at := place{next.Segment, next.Offset - int64(len(lines))}
	if b.missed > 0 && len(lines) > 0 {
		b.events = append(b.events, gap(h.f.o.Now(), missed{Lost: b.missed}).JSON)
	}
	for len(lines) > 0 && len(b.events) < batchMost {
		i := bytes.IndexByte(lines, '\n')
		b.add(lines[:i], &h.w)
		at.Offset += int64(i + 1)
		lines = lines[i+1:]
	}
	if len(lines) > 0 {
		b.next = at
	}
	return b, nil
}

// add takes a line that is wanted. One that is damaged is left out.
func (b *batch) add(line []byte, w *Webhook) {
	var s seen
	if json.Unmarshal(line, &s) != nil || !w.wants(&Event{Kind: s.Event, From: s.From, To: s.To, Destination: s.Destination}) {
		return
	}
	if b.first == "" {
		b.first = s.ID
	}
	b.last = s.ID
	b.events = append(b.events, bytes.Clone(line))
}

// took moves the webhook behind a batch, unless what it had was dropped meanwhile.
func (h *hook) took(b *batch) {
	h.mu.Lock()
	h.since = time.Time{}
	if h.own.place == b.from {
		h.own.place = b.next
	}
	if len(b.events) > 0 {
		h.own.Missed -= b.missed
	}
	h.mu.Unlock()
	h.sent.Add(int64(len(b.events)))
	if err := h.remember(); err != nil {
		h.f.faults.tellOnce("remember what webhooks have seen", err)
	}
}
