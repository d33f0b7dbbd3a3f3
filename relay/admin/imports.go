package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"

	"postrider/relay"
)

// Import is an import of many messages, which has one entry in the journal.
type Import struct {
	// ID is what its messages are put in with.
	ID string `json:"id"`
	// Imported, Known and Failed count messages so far. Those that are known are here, or were.
	Imported int `json:"imported"`
	Known    int `json:"known"`
	Failed   int `json:"failed"`
}

// ImportEnd says that an import is over.
type ImportEnd struct {
	// BrokenOff says that there was more to import.
	BrokenOff bool `json:"broken_off,omitempty"`
}

// importsMost bounds the imports under way. The oldest is ended for another one: nobody has that many,
// so whoever began it has gone.
const importsMost = 8

var errNoImport = errors.New("no such import is under way")

// imports are those under way, the oldest first.
type imports struct {
	mu  sync.Mutex
	all []*relay.Importing
}

// taker takes messages of an import; without an ID, of none.
func (i *imports) taker(id string, alone *relay.Importer) (Taker, error) {
	if id == "" {
		return alone, nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, g := range i.all {
		if g.ID().String() == id {
			return g, nil
		}
	}
	return nil, errNoImport
}

// add notes an import, and gives the one that makes room for it, if one must.
func (i *imports) add(g *relay.Importing) (gone *relay.Importing) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.all = append(i.all, g); len(i.all) > importsMost {
		gone = i.all[0]
		i.all = i.all[1:]
	}
	return gone
}

// remove gives the import of that ID, which is not under way any more.
func (i *imports) remove(id string) (*relay.Importing, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for k, g := range i.all {
		if g.ID().String() == id {
			i.all = append(i.all[:k], i.all[k+1:]...)
			return g, true
		}
	}
	return nil, false
}

// beginImport has a place in the journal for messages that are about to be put in.
func (s *Server) beginImport(w http.ResponseWriter, r *http.Request, c caller) {
	var change Change
	err := read(w, r, &change)
	if err == nil {
		change.Author, err = c.author(change.Author)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	g, err := s.o.Importer.Begin(r.Context(), change.Author, change.Reason)
	switch {
	case errors.Is(err, relay.ErrOrder):
		refuse(w, http.StatusBadRequest, err)
		return
	case err != nil:
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	if gone := s.imports.add(g); gone != nil {
		_, _ = gone.End(r.Context(), false) // its messages are here all the same
	}
	answer(w, Import{ID: g.ID().String()})
}

// endImport ends it, and says what came of it.
func (s *Server) endImport(w http.ResponseWriter, r *http.Request, _ caller) {
	var end ImportEnd
	if err := read(w, r, &end); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	g, ok := s.imports.remove(r.PathValue("id"))
	if !ok {
		refuse(w, http.StatusNotFound, errNoImport)
		return
	}
	tally, err := g.End(r.Context(), !end.BrokenOff)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, Import{ID: r.PathValue("id"), Imported: tally.Changed, Known: tally.Unchanged, Failed: tally.Failed})
}

// BeginImport begins an import of many messages.
func (c *Client) BeginImport(ctx context.Context, change Change) (Import, error) {
	var v Import
	return v, c.change(ctx, "/v1/queue/imports", change, &v)
}

// EndImport ends it.
func (c *Client) EndImport(ctx context.Context, id string, end ImportEnd) (Import, error) {
	var v Import
	return v, c.change(ctx, "/v1/queue/imports/"+url.PathEscape(id)+"/end", end, &v)
}
