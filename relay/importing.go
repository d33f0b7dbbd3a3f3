package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ActionImport is the word of an Importing in the journal.
const ActionImport = "import"

// Importing is an import of many messages, which has one entry in the journal. It is there from the
// beginning: an end of the process in the middle leaves it, as broken off.
type Importing struct {
	i  *Importer
	id ID

	mu    sync.Mutex
	entry Entry
	noted time.Time
	ended bool
}

// errNoJournal is for an Importer without Notes and IDs.
var errNoJournal = errors.New("import: there is no journal")

// Begin begins an import. The caller ends it. In its Tally, messages are counted.
func (i *Importer) Begin(ctx context.Context, author, reason string) (*Importing, error) {
	if i.o.Notes == nil || i.o.IDs == nil {
		return nil, errNoJournal
	}
	if author == "" || reason == "" {
		return nil, fmt.Errorf("import: %w: an author and a reason are needed", ErrOrder)
	}
	g := &Importing{i: i, id: i.o.IDs.Next()}
	now := g.id.Time()
	g.noted = now
	g.entry = Entry{At: now, Action: ActionImport, Author: author, Reason: reason, UnderWay: true, Tally: new(Tally)}
	if err := i.journal.add(ctx, g.id, g.entry); err != nil {
		return nil, fmt.Errorf("import: keep it in the journal: %w", err)
	}
	return g, nil
}

// ID names the import.
func (g *Importing) ID() ID { return g.id }

// Import is the Importer's, and counts.
func (g *Importing) Import(ctx context.Context, m *Message, ds []Delivery, body io.Reader) (bool, error) {
	fresh, err := g.i.Import(ctx, m, ds, body)
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.entry.Tally
	t.Seen++
	switch {
	case err != nil:
		t.Failed++
	case fresh:
		t.Changed++
	default:
		t.Unchanged++
	}
	if now := g.i.o.Now(); now.Sub(g.noted) >= journalEvery && !g.ended {
		g.noted = now
		// The messages are what counts; a journal that cannot be written is reported at the end.
		_ = g.i.journal.put(ctx, g.id, g.entry)
	}
	return fresh, err
}

// End says that the import is over: whole, or broken off. A second End does nothing.
func (g *Importing) End(ctx context.Context, whole bool) (Tally, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return *g.entry.Tally, nil
	}
	g.ended = true
	g.entry.UnderWay, g.entry.BrokenOff = false, !whole
	g.i.o.Told(g.entry)
	if err := g.i.journal.put(context.WithoutCancel(ctx), g.id, g.entry); err != nil {
		return *g.entry.Tally, fmt.Errorf("import: keep it in the journal: %w", err)
	}
	return *g.entry.Tally, nil
}
