package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"postrider/relay/suppression"
)

// Suppression is a recipient for whom no mail is taken. See suppression.Entry.
type Suppression struct {
	Address string    `json:"address"`
	Scope   string    `json:"scope,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Author  string    `json:"author,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Host    string    `json:"host,omitempty"`
}

// SuppressionOrder asks to suppress recipients, and says who wants it and why.
type SuppressionOrder struct {
	// Suppressions have the order's author, and its reason where they have none.
	Suppressions []Suppression `json:"suppressions"`
	// Author is as in an Action.
	Author string `json:"author,omitempty"`
	Reason string `json:"reason"`
	// DryRun changes nothing.
	DryRun bool `json:"dry_run,omitempty"`
}

// SuppressionRemoval asks to suppress recipients no longer.
type SuppressionRemoval struct {
	Addresses []string `json:"addresses"`
	// Scope is the scope meant; "" for all.
	Scope  string `json:"scope,omitempty"`
	Author string `json:"author,omitempty"`
	Reason string `json:"reason,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
}

// SuppressionTally is what came of it. See suppression.Tally.
type SuppressionTally struct {
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
}

// Suppressions is where it is kept who is suppressed.
type Suppressions interface {
	Entries(pattern string) []suppression.Entry
	Add(ctx context.Context, entries []suppression.Entry, dry bool) (suppression.Tally, error)
	Remove(ctx context.Context, addresses []string, scope string, dry bool) (suppression.Tally, error)
}

var errNoSuppressions = errors.New("there is no suppression list here")

// suppressing lets do work with the list, and makes answers of its errors.
func (s *Server) suppressing(do func(http.ResponseWriter, *http.Request, caller) error) func(http.ResponseWriter, *http.Request, caller) {
	return func(w http.ResponseWriter, r *http.Request, c caller) {
		err := errNoSuppressions
		if s.o.Suppressions != nil {
			err = do(w, r, c)
		}
		switch {
		case err == nil:
		case errors.Is(err, errNoSuppressions):
			refuse(w, http.StatusNotFound, err)
		case errors.Is(err, suppression.ErrEntry) || errors.Is(err, errRequest):
			refuse(w, http.StatusBadRequest, err)
		case errors.Is(err, suppression.ErrOff) || errors.Is(err, suppression.ErrFull):
			refuse(w, http.StatusConflict, err)
		default:
			refuse(w, http.StatusInternalServerError, err)
		}
	}
}

func (s *Server) suppressions(w http.ResponseWriter, r *http.Request, _ caller) error {
	limit, err := whole(r.URL.Query().Get("limit"))
	if err != nil {
		return errors.Join(errRequest, err)
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	for i, e := range s.o.Suppressions.Entries(r.URL.Query().Get("address")) {
		// A client that has gone away needs no answer.
		if limit > 0 && i == limit || out.Encode(Suppression(e)) != nil {
			break
		}
	}
	return nil
}

func (s *Server) suppress(w http.ResponseWriter, r *http.Request, c caller) error {
	var o SuppressionOrder
	err := read(w, r, &o)
	if err == nil && o.Suppressions == nil {
		err = errors.New("suppressions: say whose")
	}
	if err == nil {
		o.Author, err = c.author(o.Author)
	}
	if err != nil {
		return errors.Join(errRequest, err)
	}
	entries := make([]suppression.Entry, len(o.Suppressions))
	for i, v := range o.Suppressions {
		entries[i] = suppression.Entry(v)
		entries[i].Author = o.Author
		if v.Reason == "" {
			entries[i].Reason = o.Reason
		}
	}
	tally, err := s.o.Suppressions.Add(r.Context(), entries, o.DryRun)
	if err == nil && tally.Changed > 0 && !o.DryRun {
		err = s.record(r, "suppress", named(entries[0].Address, tally.Changed), Change{o.Author, o.Reason})
	}
	if err == nil {
		answer(w, SuppressionTally(tally))
	}
	return err
}

func (s *Server) unsuppress(w http.ResponseWriter, r *http.Request, c caller) error {
	var o SuppressionRemoval
	err := read(w, r, &o)
	if err == nil && o.Addresses == nil {
		err = errors.New("addresses: say whose")
	}
	if err == nil {
		o.Author, err = c.author(o.Author)
	}
	if err != nil {
		return errors.Join(errRequest, err)
	}
	tally, err := s.o.Suppressions.Remove(r.Context(), o.Addresses, o.Scope, o.DryRun)
	if err == nil && tally.Changed > 0 && !o.DryRun {
		err = s.record(r, "unsuppress", named(o.Addresses[0], tally.Changed), Change{o.Author, o.Reason})
	}
	if err == nil {
		answer(w, SuppressionTally(tally))
	}
	return err
}

// named is one address, or how many.
func named(first string, n int) string {
	if n == 1 {
		return first
	}
	return fmt.Sprintf("%d addresses", n)
}

// Suppressions yields those whose addresses are like a pattern, in order, at most so many; 0 for all.
func (c *Client) Suppressions(ctx context.Context, pattern string, limit int) iter.Seq2[Suppression, error] {
	query := url.Values{"address": {pattern}, "limit": {strconv.Itoa(limit)}}
	return lines[Suppression](ctx, c, "/v1/suppressions?"+query.Encode())
}

// Suppress puts recipients on the list.
func (c *Client) Suppress(ctx context.Context, o SuppressionOrder) (SuppressionTally, error) {
	var v SuppressionTally
	return v, c.change(ctx, "/v1/suppressions", o, &v)
}

// Unsuppress takes recipients off it.
func (c *Client) Unsuppress(ctx context.Context, o SuppressionRemoval) (SuppressionTally, error) {
	var v SuppressionTally
	return v, c.change(ctx, "/v1/suppressions/remove", o, &v)
}
