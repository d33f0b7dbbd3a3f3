package relaytest

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"postrider/relay"
)

// Notes are relay.Notes in memory. The zero value is ready for use.
type Notes struct {
	mu  sync.Mutex
	all map[string][]byte
}

var _ relay.Notes = (*Notes)(nil)

// Remember keeps or forgets notes.
func (n *Notes) Remember(_ context.Context, notes ...relay.Note) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil {
		n.all = make(map[string][]byte)
	}
	for _, note := range notes {
		if len(note.Value) == 0 {
			delete(n.all, note.Key)
		} else {
			n.all[note.Key] = slices.Clone(note.Value)
		}
	}
	return nil
}

// Recall yields the notes whose keys have the prefix.
func (n *Notes) Recall(_ context.Context, prefix string) iter.Seq2[relay.Note, error] {
	n.mu.Lock()
	all := maps.Clone(n.all)
	n.mu.Unlock()
	return func(yield func(relay.Note, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if strings.HasPrefix(key, prefix) && !yield(relay.Note{Key: key, Value: all[key]}, nil) {
				return
			}
		}
	}
}
