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
	// UnderWay says that an Order is being carried out: the Tally is that of a moment ago.
	UnderWay bool `json:"under_way,omitempty"`
	// BrokenOff says that it did not come to its end. After a crash at least as much was done as
	// the Tally says.
	BrokenOff bool `json:"broken_off,omitempty"`
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
	// running are the orders that are being carried out.
	running sync.Map
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

// put keeps an entry in the place of the one that was added as id.
func (j *journal) put(ctx context.Context, id ID, e Entry) error {
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return j.notes.Remember(ctx, Note{Key: journalPrefix + id.String(), Value: value})
}

// carriesOut says whether the order of an entry is being carried out.
func (j *journal) carriesOut(key string) bool {
	id, err := ParseID(key[len(journalPrefix):])
	if err != nil {
		return false
	}
	_, running := j.running.Load(id)
	return running
}

// breakOff marks the orders that a process before this one was carrying out at its end, and gives them.
func (j *journal) breakOff(ctx context.Context) (all []Entry, err error) {
	for n, err := range j.notes.Recall(ctx, journalPrefix) {
		if err != nil {
			return nil, err
		}
		var e Entry
		id, badKey := ParseID(n.Key[len(journalPrefix):])
		if json.Unmarshal(n.Value, &e) != nil || badKey != nil || !e.UnderWay {
			continue
		}
		e.UnderWay, e.BrokenOff = false, true
		_ = j.put(ctx, id, e) // where the disk is full the next start does it
		all = append(all, e)
	}
	return all, nil
}

// journalEvery is how often the journal is told how far an order has come.
const journalEvery = time.Second

// note has the order in the journal before it changes anything, and then from time to time: what
// ends the process in the middle leaves a trace of whose order it was. An order that cannot be kept
// changes nothing; how far one has come is told the next time where it cannot be now.
func (e *errand) note(ctx context.Context) error {
	now := e.s.o.Now()
	if !e.entry.At.IsZero() && now.Sub(e.noted) < journalEvery {
		return nil
	}
	e.noted = now
	tally := e.tally
	if !e.entry.At.IsZero() {
		e.entry.Tally = &tally
		_ = e.o.journal.put(ctx, e.id, e.entry)
		return nil
	}
	entry := Entry{
		At: now, Action: e.order.Action.String(), Select: &e.order.Select, Tally: &tally,
		Author: e.order.Author, Reason: e.order.Reason, UnderWay: true,
	}
	id := e.s.o.IDs.Next()
	if err := e.o.journal.add(ctx, id, entry); err != nil {
		return fmt.Errorf("keep it in the journal: %w", err)
	}
	e.id, e.entry = id, entry
	e.o.journal.running.Store(id, true)
	return nil
}

// conclude keeps and tells what an order that has changed something came to.
func (e *errand) conclude(ctx context.Context, broken bool) error {
	if e.entry.At.IsZero() {
		return nil
	}
	defer e.o.journal.running.Delete(e.id)
	e.entry.Tally, e.entry.UnderWay, e.entry.BrokenOff = &e.tally, false, broken
	e.o.o.Told(e.entry)
	if err := e.o.journal.put(ctx, e.id, e.entry); err != nil {
		return fmt.Errorf("keep it in the journal: %w", err)
	}
	return e.o.settled(ctx)
}

// durableTime is how long a disk may take to have what was done. It is done all the same.
const durableTime = 10 * time.Second

// settled waits until what was done is on disk.
func (o *Operator) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, durableTime)
	defer cancel()
	if err := o.o.Durable(ctx); err != nil {
		return fmt.Errorf("it is done, and may not outlive a crash: %w", err)
	}
	return nil
}

// record keeps and tells what an operator has changed.
func (o *Operator) record(ctx context.Context, e Entry) error {
	e.At = o.s.o.Now()
	o.o.Told(e)
	if err := o.journal.add(ctx, o.s.o.IDs.Next(), e); err != nil {
		return fmt.Errorf("keep it in the journal: %w", err)
	}
	return o.settled(ctx)
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
		if e.UnderWay && !o.journal.carriesOut(n.Key) { // its end could not be kept
			e.UnderWay, e.BrokenOff = false, true
		}
		all = append(all, e)
	}
	return all, nil
}
