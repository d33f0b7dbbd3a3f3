package transcript

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postrider/relay"
)

// Options are what New needs. Dir and Now must be set.
type Options struct {
	// Dir is where the files are. It is made when there is something to put there.
	Dir string
	Now func() time.Time
	// Fault is told when a transcript cannot be written.
	Fault func(relay.Fault)
	// Most is how many transcripts are made at once, Kept how many files there are, Total their size
	// in bytes before another one may begin; beyond these, the oldest go. Defaults 8, 50 and 200 MiB.
	Most, Kept int
	Total      int64
	// Every is how often what was said is written. Default 250 ms.
	Every time.Duration
}

// Book has the transcripts. It implements relay.Transcriber, and is safe for use by several
// goroutines.
type Book struct {
	o Options
	// open are the records that sessions may be for; nil, which is the rule, for none.
	open atomic.Pointer[[]*record]
	// sessions numbers the sessions that are taken down.
	sessions atomic.Int64
	// wake has Run look whether there is something to write.
	wake chan struct{}

	mu sync.Mutex
	// records are those of this run, also ended ones.
	records map[string]*record
}

var _ relay.Transcriber = (*Book)(nil)

// New makes a book. Run must be called for anything to be written.
func New(o Options) *Book {
	o.Most, o.Kept = cmp.Or(o.Most, 8), cmp.Or(o.Kept, 50)
	o.Total, o.Every = cmp.Or(o.Total, 200<<20), cmp.Or(o.Every, 250*time.Millisecond)
	if o.Fault == nil {
		o.Fault = func(relay.Fault) {}
	}
	return &Book{o: o, wake: make(chan struct{}, 1), records: make(map[string]*record)}
}

// Transcribe implements relay.Transcriber.
func (b *Book) Transcribe(t relay.Talk) *relay.Transcript {
	open := b.open.Load()
	if open == nil {
		return nil
	}
	var to fan
	for _, r := range *open {
		if r.info.means(&t, r.client) {
			r.enter()
			to = append(to, r)
		}
	}
	if len(to) == 0 {
		return nil
	}
	x := relay.NewTranscript(to, b.o.Now, fmt.Sprintf("s%d", b.sessions.Add(1)))
	x.Note("%s", t.String())
	return x
}

// fan is the records that a session is for.
type fan []*record

func (f fan) Write(line []byte) (int, error) {
	for _, r := range f {
		// It cannot fail.
		_, _ = r.Write(line)
	}
	return len(line), nil
}

func (f fan) Close() error { return nil }

// The reasons for which a transcript ends, beside that an operator ends it.
var (
	errFull = errors.New("it has its full size")
	errOver = errors.New("its time is over")
	errStop = errors.New("the relay stopped")
)

// Run writes what is said until ctx ends, and ends transcripts when it is time.
func (b *Book) Run(ctx context.Context) error {
	ticker := time.NewTicker(b.o.Every)
	defer ticker.Stop()
	for {
		if !b.write() {
			ticker.Stop() // until somebody wants something
		}
		select {
		case <-ctx.Done():
			b.finish()
			return nil
		case <-b.wake:
			ticker.Reset(b.o.Every)
		case <-ticker.C:
		}
	}
}

func (b *Book) active() []*record {
	if open := b.open.Load(); open != nil {
		return *open
	}
	return nil
}

// write flushes what is being made and says whether there is anything.
func (b *Book) write() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.active() {
		err := r.flush()
		if err == nil && !b.o.Now().Before(r.info.Until) {
			err = errOver
		}
		if err != nil {
			b.close(r, err)
		}
	}
	return b.open.Load() != nil
}

// finish ends all records.
func (b *Book) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.active() {
		b.close(r, errStop)
	}
}

// close writes the rest of a record and ends it; mu is held.
func (b *Book) close(r *record, why error) {
	if err := r.flush(); err != nil {
		why = err
	}
	rest := slices.DeleteFunc(slices.Clone(b.active()), func(o *record) bool { return o == r })
	b.setOpen(rest)
	err := r.end(b.o.Now(), why.Error())
	expected := errors.Is(why, errFull) || errors.Is(why, errOver) || errors.Is(why, errStop) || errors.Is(why, errEnded)
	if !expected || err != nil {
		b.o.Fault(relay.Fault{Doing: "write transcript " + r.info.ID, Err: errors.Join(why, err)})
	}
}

func (b *Book) setOpen(list []*record) {
	if len(list) == 0 {
		b.open.Store(nil)
		return
	}
	b.open.Store(&list)
}

// Start begins a transcript of sessions that begin from now on. Its errors are ErrOrder, or those
// of the disk.
func (b *Book) Start(o Order) (Info, error) {
	client, err := o.complete()
	if err != nil {
		return Info{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.active()) >= b.o.Most {
		return Info{}, fmt.Errorf("%w: %d are being made already", ErrOrder, b.o.Most)
	}
	if err := os.MkdirAll(b.o.Dir, 0o700); err != nil {
		return Info{}, err
	}
	if err := b.makeRoom(); err != nil {
		return Info{}, err
	}
	now := b.o.Now()
	info := Info{Order: o, Begun: now, Until: now.Add(o.For)}
	r, err := b.create(info, client)
	if err != nil {
		return Info{}, fmt.Errorf("begin a transcript: %w", err)
	}
	b.records[r.info.ID] = r
	b.setOpen(append(slices.Clone(b.active()), r))
	select {
	case b.wake <- struct{}{}:
	default:
	}
	info, _ = r.state()
	return info, nil
}

var errEnded = errors.New("ended")

// Stop ends a transcript on behalf of somebody and says whether it was going on.
func (b *Book) Stop(id, author string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.active(), func(r *record) bool { return r.info.ID == id })
	if i < 0 {
		_, err := b.find(id)
		return false, err
	}
	r := b.active()[i]
	b.close(r, fmt.Errorf("%w by %s", errEnded, author))
	return true, nil
}

// List gives all transcripts that there are, the oldest first.
func (b *Book) List() ([]Info, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.list()
}

// ErrUnknown says that there is no transcript of that ID.
var ErrUnknown = errors.New("there is no such transcript")

// find gives one transcript; mu is held.
func (b *Book) find(id string) (Info, error) {
	all, err := b.list()
	if err != nil {
		return Info{}, err
	}
	i := slices.IndexFunc(all, func(info Info) bool { return info.ID == id })
	if i < 0 {
		return Info{}, fmt.Errorf("%w: %q", ErrUnknown, id)
	}
	return all[i], nil
}

// CopyTo writes the transcript's text, from its beginning. With follow it goes on with what is said
// until the transcript or the context ends; flush is called whenever there is nothing more
// to write for now.
func (b *Book) CopyTo(ctx context.Context, out io.Writer, id string, follow bool, flush func()) error {
	b.mu.Lock()
	_, err := b.find(id)
	r := b.records[id]
	b.mu.Unlock()
	if err != nil {
		return err
	}
	f, err := os.Open(b.path(id))
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		var info Info
		var changed <-chan struct{}
		if r != nil {
			info, changed = r.state() // before it is read: nothing is missed
		}
		if _, err := io.Copy(out, f); err != nil {
			return err
		}
		flush()
		if !follow || r == nil || !info.Ended.IsZero() {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

func (b *Book) path(id string) string { return filepath.Join(b.o.Dir, id+suffix) }

// suffix ends the names of files.
const suffix = ".txt"

func idOf(name string) (string, bool) { return strings.CutSuffix(name, suffix) }
