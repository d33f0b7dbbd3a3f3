package feed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// segmentSize is when a new segment is begun, in bytes, at most; an outbox has several.
const segmentSize = 8 << 20

// outbox keeps lines in segments, files that are numbered from 1. It is written by one
// goroutine and read by others.
type outbox struct {
	dir  string
	most int64
	age  time.Duration
	now  func() time.Time

	mu sync.Mutex
	// segments are in order; the last one is written.
	segments []segment
	file     *os.File
	// dirty says that something was written since the last sync.
	dirty bool
	// crashed is the latest write of a run that had no end; zero where there was none.
	crashed time.Time
}

type segment struct {
	number int64
	size   int64
	// last is when it was last written.
	last time.Time
}

// place is where a reader is: in front of the line at an offset of a segment.
type place struct {
	Segment int64 `json:"segment"`
	Offset  int64 `json:"offset"`
}

const segmentSuffix = ".jsonl"

func openOutbox(dir string, most int64, age time.Duration, now func() time.Time) (*outbox, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	b := &outbox{dir: dir, most: most, age: age, now: now}
	if err := b.find(); err != nil {
		return nil, err
	}
	return b, errors.Join(b.begin(), b.mark())
}

// mark notes that a run has begun, and finds out whether the one before came to its end.
func (b *outbox) mark() error {
	info, err := os.Stat(b.marker())
	switch {
	case err == nil:
		b.crashed = info.ModTime()
		if n := len(b.segments); n > 1 && b.segments[n-2].last.After(b.crashed) {
			b.crashed = b.segments[n-2].last
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return os.WriteFile(b.marker(), nil, 0o600)
}

// marker is a file that is there while the outbox is open.
func (b *outbox) marker() string { return filepath.Join(b.dir, "running") }

// ended notes that all that happened in this run was written.
func (b *outbox) ended() error {
	if err := b.sync(); err != nil {
		return err
	}
	return os.Remove(b.marker())
}

// sync brings what was written to the disk.
func (b *outbox) sync() error {
	b.mu.Lock()
	file, dirty := b.file, b.dirty
	b.dirty = false
	b.mu.Unlock()
	if !dirty {
		return nil
	}
	// A segment that was begun meanwhile has synced this one.
	if err := file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// find lists the segments that are there.
func (b *outbox) find() error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ours := strings.CutSuffix(e.Name(), segmentSuffix)
		number, err := strconv.ParseInt(name, 10, 64)
		if !ours || err != nil || number < 1 {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		b.segments = append(b.segments, segment{number, info.Size(), info.ModTime()})
	}
	slices.SortFunc(b.segments, func(a, c segment) int { return int(a.number - c.number) })
	n := len(b.segments)
	if n == 0 {
		return nil
	}
	last := &b.segments[n-1]
	if err := b.mend(last); err != nil || last.size > 0 {
		return err
	}
	// One that is empty is begun again.
	b.segments = b.segments[:n-1]
	return os.Remove(b.name(last.number))
}

// mend takes the line away that a crash left unfinished.
func (b *outbox) mend(s *segment) error {
	text, err := os.ReadFile(b.name(s.number))
	if err != nil {
		return err
	}
	if whole := int64(bytes.LastIndexByte(text, '\n') + 1); whole < s.size {
		s.size = whole
		return os.Truncate(b.name(s.number), whole)
	}
	return nil
}

func (b *outbox) name(number int64) string {
	return filepath.Join(b.dir, fmt.Sprintf("%012d%s", number, segmentSuffix))
}

// begin starts a segment. A start of the program begins one too.
func (b *outbox) begin() error {
	number := int64(1)
	if n := len(b.segments); n > 0 {
		number = b.segments[n-1].number + 1
	}
	file, err := os.OpenFile(b.name(number), os.O_CREATE|os.O_APPEND|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if b.file != nil {
		err = errors.Join(b.file.Sync(), b.file.Close())
	}
	b.file = file
	b.segments = append(b.segments, segment{number: number, last: b.now()})
	return err
}

// add appends lines. All of them are there afterwards, or none.
func (b *outbox) add(lines []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.segments[len(b.segments)-1]
	if s.size >= min(segmentSize, b.most/4) {
		if err := b.begin(); err != nil {
			return err
		}
		s = &b.segments[len(b.segments)-1]
	}
	if err := appendWhole(b.file, lines); err != nil {
		return err
	}
	b.dirty = true
	s.size += int64(len(lines))
	s.last = b.now()
	return nil
}

// trim removes what all have seen, and what is too much or too old. It gives how many lines
// each reader has missed by that.
func (b *outbox) trim(readers []*hook) map[string]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var total int64
	for _, s := range b.segments {
		total += s.size
	}
	var missed map[string]int64
	for len(b.segments) > 1 {
		s := b.segments[0]
		next := place{Segment: b.segments[1].number}
		seen := !slices.ContainsFunc(readers, func(h *hook) bool { return h.place().Segment <= s.number })
		if !seen && total <= b.most && b.now().Sub(s.last) < b.age {
			break
		}
		for _, h := range readers {
			n := h.skip(s.number, next, func(p place) int64 { return b.linesFrom(p) })
			if n > 0 && missed == nil {
				missed = make(map[string]int64)
			}
			if n > 0 {
				missed[h.w.Name] += n
			}
		}
		if err := os.Remove(b.name(s.number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break // it is tried again
		}
		total -= s.size
		b.segments = b.segments[1:]
	}
	return missed
}

// linesFrom counts the lines of a segment from a place on.
func (b *outbox) linesFrom(p place) int64 {
	text, err := os.ReadFile(b.name(p.Segment))
	if err != nil || p.Offset > int64(len(text)) {
		return 0
	}
	return int64(bytes.Count(text[p.Offset:], []byte{'\n'}))
}

// end is the place of the next line to be written.
func (b *outbox) end() place {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.segments[len(b.segments)-1]
	return place{s.number, s.size}
}

// used is how many bytes are there.
func (b *outbox) used() int64 { return b.behind(place{}) }

// behind is how many bytes are there from a place on.
func (b *outbox) behind(p place) (n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.segments {
		switch {
		case s.number == p.Segment:
			n += max(0, s.size-p.Offset)
		case s.number > p.Segment:
			n += s.size
		}
	}
	return n
}

// readMost is how much is read at once, in bytes.
const readMost = 256 << 10

// read gives whole lines from a place on, and the place behind them. There are none at the end.
func (b *outbox) read(p place) (lines []byte, next place, err error) {
	b.mu.Lock()
	i := slices.IndexFunc(b.segments, func(s segment) bool { return s.number >= p.Segment })
	if i < 0 {
		b.mu.Unlock()
		return nil, p, nil
	}
	s, last := b.segments[i], i == len(b.segments)-1
	after := place{}
	if !last {
		after.Segment = b.segments[i+1].number
	}
	b.mu.Unlock()
	if s.number != p.Segment {
		p = place{Segment: s.number}
	}
	if p.Offset >= s.size {
		if last {
			return nil, p, nil
		}
		return b.read(after)
	}
	return b.readSegment(p, s.size)
}

func (b *outbox) readSegment(p place, size int64) ([]byte, place, error) {
	file, err := os.Open(b.name(p.Segment))
	if err != nil {
		return nil, p, err
	}
	defer file.Close()
	text := make([]byte, min(size-p.Offset, readMost))
	n, err := file.ReadAt(text, p.Offset)
	if err != nil && err != io.EOF {
		return nil, p, err
	}
	whole := bytes.LastIndexByte(text[:n], '\n') + 1
	if whole == 0 {
		// What is no line is not ours; the rest of the segment is given up.
		return nil, place{p.Segment, size}, nil
	}
	return text[:whole], place{p.Segment, p.Offset + int64(whole)}, nil
}

func (b *outbox) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}
