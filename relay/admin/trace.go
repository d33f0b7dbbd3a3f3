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

	"postrider/relay"
)

// Life is all that is known of a message, from its arrival to its end.
type Life struct {
	ID         string    `json:"id"`
	Received   time.Time `json:"received"`
	Sender     string    `json:"sender"`
	Recipients []string  `json:"recipients"`
	MessageID  string    `json:"message_id,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	Size       int64     `json:"size"`
	Listener   string    `json:"listener,omitempty"`
	Client     string    `json:"client,omitempty"`
	User       string    `json:"user,omitempty"`
	Tags       []string  `json:"tags,omitempty"`
	Trace      []Verdict `json:"trace,omitempty"`
	// Signatures are the keys that it was signed with.
	Signatures []string `json:"signatures,omitempty"`
	// Events are what happened to its recipients, in order of time.
	Events []LifeEvent `json:"events,omitempty"`
	// Queued says that it is still in the queue, Waiting what waits of it there, and why.
	Queued  bool    `json:"queued,omitempty"`
	Waiting []Entry `json:"waiting,omitempty"`
}

// LifeEvent is something that happened to recipients of a message.
type LifeEvent struct {
	At time.Time `json:"at"`
	// Event is what became of the recipients, or an operator's action.
	Event      string   `json:"event"`
	Recipients []string `json:"recipients"`
	Host       string   `json:"host,omitempty"`
	Code       int      `json:"code,omitempty"`
	Enhanced   string   `json:"enhanced,omitempty"`
	Reply      string   `json:"reply,omitempty"`
	Class      string   `json:"class,omitempty"`
	Attempts   int      `json:"attempts,omitempty"`
	ConnectMS  int64    `json:"connect_ms,omitempty"`
	TransmitMS int64    `json:"transmit_ms,omitempty"`
	// Author and Reason are an operator's.
	Author string `json:"author,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Final says that nothing more happens to the recipients.
	Final bool `json:"final,omitempty"`
}

func life(l *relay.Life) Life {
	v := Life{
		ID: l.ID.String(), Received: l.Received, Sender: l.Sender, Recipients: l.Recipients, MessageID: l.MessageID,
		Subject: l.Subject, Size: l.Size, Listener: l.Listener, Client: l.Client, User: l.User, Tags: l.Tags,
		Signatures: l.Signatures, Queued: l.Queued,
	}
	for _, t := range l.Trace {
		v.Trace = append(v.Trace, Verdict(t))
	}
	for i := range l.Events {
		v.Events = append(v.Events, lifeEvent(&l.Events[i], l.Recipients))
	}
	return v
}

func lifeEvent(e *relay.Event, recipients []string) LifeEvent {
	v := LifeEvent{
		At: e.At, Event: e.What, Host: e.Host, Code: e.Reply.Code, Enhanced: e.Reply.Enhanced.String(), Reply: e.Reply.Text,
		Class: e.Reply.Class.String(), Attempts: e.Attempts, ConnectMS: e.Connect.Milliseconds(), TransmitMS: e.Transmit.Milliseconds(),
		Author: e.Author, Reason: e.Reason, Final: e.Final(), Recipients: []string{},
	}
	for _, k := range e.Recipients {
		if k >= 0 && k < len(recipients) {
			v.Recipients = append(v.Recipients, recipients[k])
		}
	}
	v.Recipients = append(v.Recipients, e.Removed...)
	return v
}

// traceMost is how many messages a search gives when nobody says how many.
const traceMost = 100

// trace streams what is known of messages, a line each, the latest arrival first.
func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, err := whole(q.Get("limit"))
	var found iter.Seq2[*relay.Life, error]
	if err == nil {
		found, err = s.sought(r.Context(), q)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if limit == 0 {
		limit = traceMost
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, n := json.NewEncoder(w), 0
	for l, err := range found {
		var v Life
		if err == nil {
			v, err = s.lived(r.Context(), l)
		}
		if err != nil {
			_ = out.Encode(problem{err.Error()}) // a client that has gone away needs no answer
			return
		}
		if n++; out.Encode(v) != nil || n == limit {
			return
		}
	}
}

var (
	errSought    = errors.New("say what is sought: id, message_id, sender or recipient")
	errNoHistory = errors.New("there is no history")
)

// sought finds the messages that the parameters mean.
func (s *Server) sought(ctx context.Context, q url.Values) (iter.Seq2[*relay.Life, error], error) {
	if s.o.History == nil {
		return nil, errNoHistory
	}
	if text := q.Get("id"); text != "" {
		id, err := relay.ParseID(text)
		if err != nil {
			return nil, err
		}
		return func(yield func(*relay.Life, error) bool) {
			l, err := s.o.History.Life(ctx, id)
			if !errors.Is(err, relay.ErrNotFound) {
				yield(l, err)
			}
		}, nil
	}
	query := relay.Query{MessageID: q.Get("message_id"), Sender: q.Get("sender"), Recipient: q.Get("recipient")}
	if query.MessageID+query.Sender+query.Recipient == "" {
		return nil, errSought
	}
	for name, at := range map[string]*time.Time{"since": &query.Since, "until": &query.Until} {
		if text := q.Get(name); text != "" {
			var err error
			if *at, err = time.Parse(time.RFC3339, text); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return s.o.History.Find(ctx, query), nil
}

// lived adds what is still in the queue.
func (s *Server) lived(ctx context.Context, l *relay.Life) (Life, error) {
	v := life(l)
	if !l.Queued {
		return v, nil
	}
	m, err := s.o.Spool.Message(ctx, l.ID)
	if errors.Is(err, relay.ErrNotFound) || errors.Is(err, relay.ErrCorrupt) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	ds, err := s.o.Spool.Deliveries(ctx, l.ID)
	for _, d := range ds {
		v.Waiting = append(v.Waiting, entry(d, m, s.o.Scheduler, s.o.Now()))
	}
	return v, err
}

// TraceQuery says which messages are sought: one by its ID, or those that meet all else that
// is set, of which MessageID, Sender or Recipient must be.
type TraceQuery struct {
	ID, MessageID, Sender, Recipient string
	Since, Until                     time.Time
	Limit                            int
}

// Trace yields what is known of messages, the latest arrival first.
func (c *Client) Trace(ctx context.Context, t TraceQuery) iter.Seq2[Life, error] {
	q := url.Values{
		"id": {t.ID}, "message_id": {t.MessageID}, "sender": {t.Sender}, "recipient": {t.Recipient}, "limit": {strconv.Itoa(t.Limit)},
	}
	for name, at := range map[string]time.Time{"since": t.Since, "until": t.Until} {
		if !at.IsZero() {
			q.Set(name, at.Format(time.RFC3339))
		}
	}
	return lines[Life](ctx, c, "/v1/trace?"+q.Encode())
}
