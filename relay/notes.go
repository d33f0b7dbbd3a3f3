package relay

import (
	"context"
	"iter"
)

// Notes keep small facts across restarts that are better not learned anew: how much a site
// takes, when a rate allows more. Losing the latest of them to a crash does no harm. All methods
// are safe for use by several goroutines.
type Notes interface {
	// Remember keeps the notes, each in place of the one with its key; one without a value is
	// forgotten. They are not synced. The caller bounds how many there are.
	Remember(ctx context.Context, notes ...Note) error
	// Recall yields the notes whose keys have the prefix, in order of keys.
	Recall(ctx context.Context, prefix string) iter.Seq2[Note, error]
}

// Note is a fact to remember.
type Note struct {
	Key   string
	Value []byte
}
