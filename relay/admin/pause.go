package admin

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"postrider/relay"
)

// Change asks for a change of a destination, and says who wants it and why.
type Change struct {
	// Author is as in an Action.
	Author string `json:"author,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Changed is what came of it.
type Changed struct {
	Destination string `json:"destination"`
	// Changed is false where all was as wanted before.
	Changed bool `json:"changed"`
}

// Pause is an order to deliver nothing to destinations like a pattern.
type Pause struct {
	Destination string    `json:"destination"`
	Author      string    `json:"author"`
	Reason      string    `json:"reason"`
	Since       time.Time `json:"since"`
}

// JournalEntry is a change that an operator has made.
type JournalEntry struct {
	At     time.Time `json:"at"`
	Action string    `json:"action"`
	// Destination is what was paused or resumed, Changed how many deliveries something was
	// done to.
	Destination string `json:"destination,omitempty"`
	Changed     int    `json:"changed,omitempty"`
	Author      string `json:"author"`
	Reason      string `json:"reason"`
	// Select is what an action was to be done to; nil where all or nothing of the queue was meant.
	Select *Selection `json:"select,omitempty"`
	// Unchanged were as wanted before, Failed could not be changed, Busy were being attempted all
	// the while. An import counts messages, and those unchanged are known.
	Unchanged int `json:"unchanged,omitempty"`
	Failed    int `json:"failed,omitempty"`
	Busy      int `json:"busy,omitempty"`
	// UnderWay says that it goes on; BrokenOff that it did not come to its end. After a crash,
	// at least as much was done as Changed says.
	UnderWay  bool `json:"under_way,omitempty"`
	BrokenOff bool `json:"broken_off,omitempty"`
}

func (s *Server) pauses(w http.ResponseWriter, _ *http.Request) {
	all := []Pause{}
	for _, p := range s.o.Operator.Pauses() {
		all = append(all, Pause(p))
	}
	answer(w, all)
}

func (s *Server) journal(w http.ResponseWriter, r *http.Request) {
	entries, err := s.o.Operator.Journal(r.Context())
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	all := []JournalEntry{}
	for _, e := range entries {
		j := JournalEntry{
			At: e.At, Action: e.Action, Destination: e.Destination, Author: e.Author, Reason: e.Reason, UnderWay: e.UnderWay, BrokenOff: e.BrokenOff,
		}
		if e.Tally != nil {
			j.Changed, j.Unchanged, j.Failed, j.Busy = e.Tally.Changed, e.Tally.Unchanged, e.Tally.Failed, e.Tally.Busy
		}
		if e.Select != nil && !e.Select.Everything() {
			j.Select = selection(e.Select)
		}
		all = append(all, j)
	}
	answer(w, all)
}

// change reads who wants a destination changed, and lets do change it.
func (s *Server) change(do func(r *http.Request, name string, c Change) (bool, error)) func(http.ResponseWriter, *http.Request, caller) {
	return func(w http.ResponseWriter, r *http.Request, who caller) {
		var c Change
		name := r.PathValue("name")
		err := read(w, r, &c)
		if err == nil {
			c.Author, err = who.author(c.Author)
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		changed, err := do(r, name, c)
		switch {
		case errors.Is(err, relay.ErrOrder) || errors.Is(err, errPattern):
			refuse(w, http.StatusBadRequest, err)
		case err != nil:
			refuse(w, http.StatusInternalServerError, err)
		default:
			answer(w, Changed{Destination: name, Changed: changed})
		}
	}
}

func (s *Server) pause(r *http.Request, name string, c Change) (bool, error) {
	return true, s.o.Operator.Pause(r.Context(), relay.Pause{Destination: name, Author: c.Author, Reason: c.Reason})
}

func (s *Server) resume(r *http.Request, name string, c Change) (bool, error) {
	return s.o.Operator.Resume(r.Context(), name, c.Author, c.Reason)
}

var errPattern = errors.New("a destination is wanted, not a pattern")

// retry has the way to a destination tried at once.
func (s *Server) retry(r *http.Request, name string, c Change) (bool, error) {
	if strings.Contains(name, "*") {
		return false, errPattern
	}
	to := relay.ParseDestination(name)
	status, _ := s.o.Scheduler.StatusOf(to)
	s.o.Operator.RetryDestination(to)
	return status.Closed, s.record(r, "retry", name, c)
}
