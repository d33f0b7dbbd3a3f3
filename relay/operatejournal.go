package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Entry is what an operator has changed, as the journal keeps it.
type Entry struct {
	At time.Time `json:"at"`
	// Action is that of an Order, pause or resume, or what was done elsewhere.
	Action string `json:"action"`
	// Select and Tally are those of an Order; Destination is what was paused, resumed or changed.
	Select      *Selector `json:"select,omitempty"`
	Tally       *Tally    `json:"tally,omitempty"`
	Destination string    `json:"destination,omitempty"`
	Author      string    `json:"author"`
	Reason      string    `json:"reason"`
}

const (
	journalPrefix = "journal/"
	// journalLength is how many entries are kept.
	journalLength = 1000
)

// journal keeps the latest entries as notes, in order of time.
type journal struct {
	notes Notes
	mu    sync.Mutex
}

// add keeps an entry, and drops the oldest where there are too many.
func (j *journal) add(ctx context.Context, id ID, e Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	var keys []string
	for n, err := range j.notes.Recall(ctx, journalPrefix) {
		if err != nil {
			return err
		}
		keys = append(keys, n.Key)
	}
	changes := []Note{{Key: journalPrefix + id.String(), Value: value}}
	for i := 0; len(keys)-i >= journalLength; i++ {
		changes = append(changes, Note{Key: keys[i]})
	}
	return j.notes.Remember(ctx, changes...)
}

// record keeps and tells what an operator has changed.
func (o *Operator) record(ctx context.Context, e Entry) error {
	e.At = o.s.o.Now()
	o.o.Told(e)
	if err := o.journal.add(ctx, o.s.o.IDs.Next(), e); err != nil {
		return fmt.Errorf("keep it in the journal: %w", err)
	}
	return nil
}

// Record keeps in the journal, and tells, what an operator has changed elsewhere. e.At is filled in.
func (o *Operator) Record(ctx context.Context, e Entry) error {
	if e.Action == "" || e.Author == "" {
		return fmt.Errorf("journal: %w: an action and an author are needed", ErrOrder)
	}
	return o.record(ctx, e)
}

// Journal gives what operators have changed lately, the latest last.
func (o *Operator) Journal(ctx context.Context) ([]Entry, error) {
	var all []Entry
	for n, err := range o.o.Notes.Recall(ctx, journalPrefix) {
		if err != nil {
			return nil, err
		}
		var e Entry
		if err := json.Unmarshal(n.Value, &e); err != nil {
			e = Entry{Action: "unknown", Author: "unknown", Reason: "this entry cannot be read: " + err.Error()}
		}
		all = append(all, e)
	}
	return all, nil
}
