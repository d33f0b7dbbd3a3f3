package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"postrider/relay"
)

// Action asks for a change of deliveries in the queue.
type Action struct {
	// Action is hold, release, retry, delete, bounce or reroute.
	Action string    `json:"action"`
	Select Selection `json:"select"`
	// All must be set where Select sets no condition.
	All bool `json:"all,omitempty"`
	// Reason says why it is wanted. The author is the token or, over the socket, the user at its
	// other end; Author stands beside that, for who asks in the name of another.
	Author string `json:"author,omitempty"`
	Reason string `json:"reason"`
	// Route is where reroute sends mail; "" for where the rules say now.
	Route string `json:"route,omitempty"`
	// Text is what bounce tells senders.
	Text string `json:"text,omitempty"`
	// DryRun counts and changes nothing.
	DryRun bool `json:"dry_run,omitempty"`
	// From is the next of the last line of an action that was broken off.
	From string `json:"from,omitempty"`
}

// Progress is a line of the answer to an Action: how far it has come. The last line has Done
// set, or Error.
type Progress struct {
	// Seen are the deliveries looked at, Matched those that were meant, Changed those that
	// something was done to.
	Seen    int `json:"seen"`
	Matched int `json:"matched"`
	Changed int `json:"changed"`
	// Unchanged were as wanted before; Busy were being attempted all the while; Failed could
	// not be changed, for a reason that the log has.
	Unchanged int    `json:"unchanged"`
	Busy      int    `json:"busy"`
	Failed    int    `json:"failed"`
	Next      string `json:"next,omitempty"`
	Done      bool   `json:"done,omitempty"`
	Error     string `json:"error,omitempty"`
}

func progress(t relay.Tally) Progress {
	p := Progress{Seen: t.Seen, Matched: t.Matched, Changed: t.Changed, Unchanged: t.Unchanged, Busy: t.Busy, Failed: t.Failed}
	if t.Next != (relay.ID{}) {
		p.Next = t.Next.String()
	}
	return p
}

// order is the action in the relay's own terms.
func (a *Action) order(c caller) (o relay.Order, err error) {
	if err = o.Action.UnmarshalText([]byte(a.Action)); err != nil {
		return o, err
	}
	if o.Author, err = c.author(a.Author); err != nil {
		return o, err
	}
	if o.Select, err = a.Select.selector(); err != nil {
		return o, err
	}
	if a.From != "" {
		if o.From, err = relay.ParseID(a.From); err != nil {
			return o, err
		}
	}
	o.All, o.Reason, o.Route, o.Text, o.DryRun = a.All, a.Reason, a.Route, a.Text, a.DryRun
	return o, nil
}

// bodyMost bounds the body of a request, in bytes. It may name thousands of messages.
const bodyMost = 4 << 20

// read takes the JSON of a request. What it does not know it refuses: a misspelt condition
// must not be none. Nor is anything taken that a form of a web page could send.
func read(w http.ResponseWriter, r *http.Request, v any) error {
	if kind := r.Header.Get("Content-Type"); kind != "application/json" {
		return fmt.Errorf("content type %q: want application/json", kind)
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyMost))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("read the request: more than one value")
	}
	return nil
}

// progressEvery is how often an action reports.
const progressEvery = 200 * time.Millisecond

// act does something to the queue and streams how far it has come. When the client goes, the
// action ends where it is: what was done stays, and it can be taken up from there.
func (s *Server) act(w http.ResponseWriter, r *http.Request, c caller) {
	var a Action
	err := read(w, r, &a)
	var o relay.Order
	if err == nil {
		o, err = a.order(c)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	ctx, cancel := s.untilStopped(r.Context())
	defer cancel()
	control := http.NewResponseController(w)
	out, began := json.NewEncoder(w), false
	line := func(p Progress) {
		if !began {
			w.Header().Set("Content-Type", "application/x-ndjson")
			began = true
		}
		// A client that has gone away ends the context.
		_ = out.Encode(p)
		_ = control.Flush()
	}
	last := s.o.Now()
	tally, err := s.o.Operator.Do(ctx, o, func(t relay.Tally) {
		if now := s.o.Now(); now.Sub(last) >= progressEvery {
			last = now
			line(progress(t))
		}
	})
	if errors.Is(err, relay.ErrOrder) && !began {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	p := progress(tally)
	if p.Done = err == nil; err != nil {
		p.Error = err.Error()
	}
	line(p)
}

// untilStopped ends when the server stops, too.
func (s *Server) untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
