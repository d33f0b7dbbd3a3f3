package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"postrider/relay"
	"postrider/relay/transcript"
)

// TranscriptOrder asks for a transcript of sessions that begin from now on, and says who wants it
// and why. See transcript.Order.
type TranscriptOrder struct {
	Destination string `json:"destination,omitempty"`
	Host        string `json:"host,omitempty"`
	Listener    string `json:"listener,omitempty"`
	Client      string `json:"client,omitempty"`
	// ForSeconds and SizeBytes bound it; 0 for 10 minutes and 10 MiB.
	ForSeconds int64 `json:"for_seconds,omitempty"`
	SizeBytes  int64 `json:"size_bytes,omitempty"`
	// Author is as in an Action.
	Author string `json:"author,omitempty"`
	Reason string `json:"reason"`
}

// Transcript is how a transcript stands. See transcript.Info.
type Transcript struct {
	ID          string    `json:"id"`
	Destination string    `json:"destination,omitempty"`
	Host        string    `json:"host,omitempty"`
	Listener    string    `json:"listener,omitempty"`
	Client      string    `json:"client,omitempty"`
	Author      string    `json:"author"`
	Reason      string    `json:"reason"`
	Begun       time.Time `json:"begun"`
	Until       time.Time `json:"until"`
	Ended       time.Time `json:"ended,omitzero"`
	Why         string    `json:"why,omitempty"`
	Size        int64     `json:"size"`
	Bytes       int64     `json:"bytes"`
	Sessions    int64     `json:"sessions"`
	Lost        int64     `json:"lost"`
}

// Transcripts is where transcripts are kept.
type Transcripts interface {
	Start(o transcript.Order) (transcript.Info, error)
	Stop(id, author string) (bool, error)
	List() ([]transcript.Info, error)
	CopyTo(ctx context.Context, out io.Writer, id string, follow bool, flush func()) error
}

func transcriptOf(i transcript.Info) Transcript {
	return Transcript{
		ID: i.ID, Destination: i.Destination, Host: i.Host, Listener: i.Listener, Client: i.Client,
		Author: i.Author, Reason: i.Reason, Begun: i.Begun, Until: i.Until, Ended: i.Ended, Why: i.Why,
		Size: i.Size, Bytes: i.Bytes, Sessions: i.Sessions, Lost: i.Lost,
	}
}

// errNoTranscripts is for a server without a place for them.
var errNoTranscripts = errors.New("transcripts are not kept here")

// transcribing lets do work with transcripts, and makes answers of its errors.
func (s *Server) transcribing(do func(http.ResponseWriter, *http.Request, caller) error) func(http.ResponseWriter, *http.Request, caller) {
	return func(w http.ResponseWriter, r *http.Request, c caller) {
		err := errNoTranscripts
		if s.o.Transcripts != nil {
			err = do(w, r, c)
		}
		switch {
		case err == nil:
		case errors.Is(err, transcript.ErrUnknown) || errors.Is(err, errNoTranscripts):
			refuse(w, http.StatusNotFound, err)
		case errors.Is(err, transcript.ErrOrder) || errors.Is(err, errRequest):
			refuse(w, http.StatusBadRequest, err)
		default:
			refuse(w, http.StatusInternalServerError, err)
		}
	}
}

// errRequest says that a request makes no sense.
var errRequest = errors.New("the request makes no sense")

func (s *Server) transcripts(w http.ResponseWriter, _ *http.Request, _ caller) error {
	infos, err := s.o.Transcripts.List()
	if err != nil {
		return err
	}
	all := []Transcript{}
	for _, i := range infos {
		all = append(all, transcriptOf(i))
	}
	answer(w, all)
	return nil
}

func (s *Server) startTranscript(w http.ResponseWriter, r *http.Request, c caller) error {
	var o TranscriptOrder
	err := read(w, r, &o)
	if err == nil {
		o.Author, err = c.author(o.Author)
	}
	if err != nil {
		return errors.Join(errRequest, err)
	}
	// An overflow is negative, and refused as such.
	info, err := s.o.Transcripts.Start(transcript.Order{
		Destination: o.Destination, Host: o.Host, Listener: o.Listener, Client: o.Client,
		For: time.Duration(o.ForSeconds) * time.Second, Size: o.SizeBytes, Author: o.Author, Reason: o.Reason,
	})
	if err != nil {
		return err
	}
	if err := s.record(r, "transcript", info.ID, Change{o.Author, o.Reason}); err != nil {
		return err
	}
	answer(w, transcriptOf(info))
	return nil
}

// record puts a change in the journal that is not the Operator's own.
func (s *Server) record(r *http.Request, action, what string, c Change) error {
	if s.o.Operator == nil {
		return nil
	}
	return s.o.Operator.Record(r.Context(), relay.Entry{Action: action, Destination: what, Author: c.Author, Reason: c.Reason})
}

func (s *Server) stopTranscript(w http.ResponseWriter, r *http.Request, c caller) error {
	var change Change
	err := read(w, r, &change)
	if err == nil {
		change.Author, err = c.author(change.Author)
	}
	if err != nil {
		return errors.Join(errRequest, err)
	}
	id := r.PathValue("id")
	was, err := s.o.Transcripts.Stop(id, change.Author)
	if err == nil && was {
		err = s.record(r, "transcript end", id, change)
	}
	if err == nil {
		answer(w, Stopped{ID: id, Changed: was})
	}
	return err
}

// Stopped is what came of the request to end a transcript.
type Stopped struct {
	ID string `json:"id"`
	// Changed is false where it had ended before.
	Changed bool `json:"changed"`
}

// readTranscript gives the text, and with follow=true what is said from now on.
func (s *Server) readTranscript(w http.ResponseWriter, r *http.Request, _ caller) error {
	ctx, cancel := s.untilStopped(r.Context())
	defer cancel()
	out := &lateHeader{w: w}
	control := http.NewResponseController(w)
	err := s.o.Transcripts.CopyTo(ctx, out, r.PathValue("id"), r.URL.Query().Get("follow") == "true", func() {
		out.begin()
		// A client that has gone away ends the context.
		_ = control.Flush()
	})
	if out.begun {
		return nil // it is too late to say what went wrong
	}
	return err
}

// lateHeader sends the header with the first bytes, so that an error before them has its own.
type lateHeader struct {
	w     http.ResponseWriter
	begun bool
}

func (l *lateHeader) begin() {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
}

// Write implements io.Writer.
func (l *lateHeader) Write(p []byte) (int, error) {
	l.begin()
	return l.w.Write(p)
}

// Transcripts shows the transcripts that there are, the oldest first.
func (c *Client) Transcripts(ctx context.Context) ([]Transcript, error) {
	var v []Transcript
	err := c.decode(ctx, "/v1/transcripts", &v)
	return v, err
}

// StartTranscript begins one.
func (c *Client) StartTranscript(ctx context.Context, o TranscriptOrder) (Transcript, error) {
	var v Transcript
	return v, c.change(ctx, "/v1/transcripts", o, &v)
}

// StopTranscript ends one.
func (c *Client) StopTranscript(ctx context.Context, id string, change Change) (Stopped, error) {
	var v Stopped
	return v, c.change(ctx, "/v1/transcripts/"+url.PathEscape(id)+"/stop", change, &v)
}

// Transcript gives the text of one; with follow until it ends. Whoever gets it closes it.
func (c *Client) Transcript(ctx context.Context, id string, follow bool) (io.ReadCloser, error) {
	path := "/v1/transcripts/" + url.PathEscape(id)
	if follow {
		path += "?follow=true"
	}
	return c.get(ctx, path)
}
