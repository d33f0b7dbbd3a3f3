package tlsrpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Ledger counts sessions by day. Recording touches memory only; Flush brings it to disk, so that
// a crash loses no more than what came since. It is safe for use by several goroutines.
type Ledger struct {
	dir string
	now func() time.Time

	mu    sync.Mutex
	days  map[string]*Day
	dirty map[string]bool
	// fault is what went wrong since the last Flush, which tells of it.
	fault error

	// flushing lets one Flush at a time write; it is taken before mu.
	flushing sync.Mutex
}

// errUnreadable says that a day's file made no sense and was set aside.
var errUnreadable = errors.New("the file makes no sense and was set aside")

// NewLedger opens the ledger in a directory, which need not exist.
func NewLedger(dir string, now func() time.Time) (*Ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("TLS reports: %w", err)
	}
	l := &Ledger{dir: dir, now: now, days: make(map[string]*Day), dirty: make(map[string]bool)}
	return l, nil
}

func (l *Ledger) today() string { return startOf(l.now()).Format(dayLayout) }

// Record counts a session. A nil Ledger counts nothing.
func (l *Ledger) Record(s Session) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	today := l.today()
	if l.days[today] == nil { // the first session of a day or of a run
		day, err := l.read(today)
		l.days[today], l.fault = day, errors.Join(l.fault, err)
	}
	l.days[today].add(s)
	l.dirty[today] = true
}

// Flush writes what has changed and forgets the days that are over. Sessions are recorded meanwhile.
func (l *Ledger) Flush() error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	changed, err := l.changes()
	errs := []error{err}
	for name, text := range changed {
		if err := l.put(name, text); err != nil {
			errs = append(errs, err)
			l.changed(name)
		}
	}
	l.forget()
	return errors.Join(errs...)
}

// changes gives the files of the days that have changed since it was last asked, and what went
// wrong since then.
func (l *Ledger) changes() (map[string][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := make(map[string][]byte)
	err := l.fault
	l.fault = nil
	for name := range l.dirty {
		text, fault := json.Marshal(l.days[name])
		if fault != nil {
			err = errors.Join(err, fault)
			continue
		}
		changed[name] = text
	}
	clear(l.dirty)
	return changed, err
}

// changed has a day written with the next Flush.
func (l *Ledger) changed(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirty[name] = true
}

// forget lets go of the days that are over and on disk.
func (l *Ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	today := l.today()
	for name := range l.days {
		if name != today && !l.dirty[name] {
			delete(l.days, name)
		}
	}
}

// closed lists the days that are over and have a file, the oldest first.
func (l *Ledger) closed() ([]string, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if _, err := time.Parse(dayLayout, name); ok && err == nil && name < l.today() && l.days[name] == nil {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list, nil
}

func (l *Ledger) file(day string) string { return filepath.Join(l.dir, day+".json") }

// read gives a day as it is on disk, an empty one where there is no file or none that can be read.
// What makes no sense is set aside, and so is told of once.
func (l *Ledger) read(name string) (*Day, error) {
	text, err := os.ReadFile(l.file(name))
	if errors.Is(err, os.ErrNotExist) {
		return newDay(), nil
	}
	if err != nil {
		return newDay(), err
	}
	day, err := parseDay(text)
	if err != nil {
		err = fmt.Errorf("%s: %w: %w", l.file(name), errUnreadable, err)
		return newDay(), errors.Join(err, os.Rename(l.file(name), l.file(name)+".unreadable"))
	}
	return day, nil
}

// write puts a day's file in the place of the former one in one step.
func (l *Ledger) write(name string, day *Day) error {
	text, err := json.Marshal(day)
	if err != nil {
		return err
	}
	return l.put(name, text)
}

func (l *Ledger) put(name string, text []byte) error {
	next := l.file(name) + ".new"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(next, l.file(name))
}

func (l *Ledger) remove(name string) error { return os.Remove(l.file(name)) }
