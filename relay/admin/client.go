package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"postrider/relay"
)

// Client asks a running daemon over its socket.
type Client struct {
	socket string
	http   http.Client
}

// NewClient returns a client for the socket. It does not connect yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// QueueQuery asks for deliveries from a place in the list on, at most Limit of them if that
// is not 0.
type QueueQuery struct {
	Selection
	From  string
	Limit int
}

// Queue yields deliveries in order of arrival, as they come.
func (c *Client) Queue(ctx context.Context, q QueueQuery) iter.Seq2[Entry, error] {
	query := q.query()
	query.Set("from", q.From)
	query.Set("limit", strconv.Itoa(q.Limit))
	return lines[Entry](ctx, c, "/v1/queue?"+query.Encode())
}

// lines yields the lines of an answer up to its end, or what went wrong.
func lines[T any](ctx context.Context, c *Client, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		body, err := c.get(ctx, path)
		if err != nil {
			yield(none, err)
			return
		}
		defer body.Close()
		for d := json.NewDecoder(body); ; {
			line, err := decodeLine[T](d)
			if err == io.EOF {
				return
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

// decodeLine reads a line, which may be the end of a page or a problem instead.
func decodeLine[T any](d *json.Decoder) (line T, err error) {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return line, err
	}
	var end struct {
		problem
		nextPage
	}
	if err := json.Unmarshal(raw, &end); err == nil && end.Error != "" {
		return line, errors.New(end.Error)
	} else if err == nil && end.Next != "" {
		return line, io.EOF
	}
	return line, json.Unmarshal(raw, &line)
}

// Message shows one message.
func (c *Client) Message(ctx context.Context, id string) (Detail, error) {
	var v Detail
	err := c.decode(ctx, "/v1/queue/"+url.PathEscape(id), &v)
	return v, err
}

// Destinations shows all bins.
func (c *Client) Destinations(ctx context.Context) ([]Bin, error) {
	var v []Bin
	err := c.decode(ctx, "/v1/destinations", &v)
	return v, err
}

// Destination shows one destination, by its name.
func (c *Client) Destination(ctx context.Context, name string) (Destination, error) {
	var v Destination
	err := c.decode(ctx, "/v1/destinations/"+url.PathEscape(name), &v)
	return v, err
}

// Stats takes a census of the queue, with the destinations that have most mail, at most so
// many; 0 for as many as there can be.
func (c *Client) Stats(ctx context.Context, most int) (Stats, error) {
	var v Stats
	err := c.decode(ctx, "/v1/stats?limit="+strconv.Itoa(most), &v)
	return v, err
}

// Events yields facts as they happen, until the context ends or the daemon stops.
func (c *Client) Events(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		query := url.Values{
			"event": f.Events, "id": {f.ID}, "from": {f.From}, "to": {f.To},
			"destination": {f.Destination}, "user": {f.User}, "client": {f.Client},
		}
		body, err := c.get(ctx, "/v1/events?"+query.Encode())
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer body.Close()
		for lines := json.NewDecoder(body); ; {
			var e Event
			err := lines.Decode(&e)
			if ctx.Err() != nil || err == io.EOF {
				return
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Act has something done to the queue. It yields how far it has come, from time to time and at
// the end; what was done before an error stays done.
func (c *Client) Act(ctx context.Context, a Action) iter.Seq2[Progress, error] {
	return func(yield func(Progress, error) bool) {
		body, err := c.post(ctx, "/v1/queue/actions", a)
		if err != nil {
			yield(Progress{}, err)
			return
		}
		defer body.Close()
		for lines := json.NewDecoder(body); ; {
			var p Progress
			err := lines.Decode(&p)
			if err == io.EOF {
				err = io.ErrUnexpectedEOF // the last line says so
			}
			if err == nil && p.Error != "" {
				err = errors.New(p.Error)
			}
			if !yield(p, err) || err != nil || p.Done {
				return
			}
		}
	}
}

// ChangeDestination does what is a word of "pause", "resume" and "retry".
func (c *Client) ChangeDestination(ctx context.Context, what, name string, change Change) (Changed, error) {
	var v Changed
	return v, c.change(ctx, "/v1/destinations/"+url.PathEscape(name)+"/"+what, change, &v)
}

// change sends a change and reads what came of it.
func (c *Client) change(ctx context.Context, path string, change, v any) error {
	body, err := c.post(ctx, path, change)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

// Pauses shows the pauses in force.
func (c *Client) Pauses(ctx context.Context) ([]Pause, error) {
	var v []Pause
	err := c.decode(ctx, "/v1/pauses", &v)
	return v, err
}

// Journal shows what operators have changed lately, the latest last.
func (c *Client) Journal(ctx context.Context) ([]JournalEntry, error) {
	var v []JournalEntry
	err := c.decode(ctx, "/v1/journal", &v)
	return v, err
}

func (c *Client) decode(ctx context.Context, path string, v any) error {
	body, err := c.get(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

func (c *Client) get(ctx context.Context, path string) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, path, nil)
}

// post sends a change.
func (c *Client) post(ctx context.Context, path string, v any) (io.ReadCloser, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodPost, path, bytes.NewReader(text))
}

func (c *Client) do(ctx context.Context, method, path string, content io.Reader) (io.ReadCloser, error) {
	return c.send(ctx, method, path, content, "application/json")
}

// send makes a request with content of a kind, if there is any, and gives the body of the answer.
func (c *Client) send(ctx context.Context, method, path string, content io.Reader, kind string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://postrider"+path, content)
	if err != nil {
		return nil, err
	}
	if content != nil {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return nil, fmt.Errorf("no daemon answers at %s (is `postrider serve` running? --config or --socket says where): %w", c.socket, op.Err)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var p problem
	if json.NewDecoder(resp.Body).Decode(&p) != nil || p.Error == "" {
		p.Error = resp.Status
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w: %s", relay.ErrNotFound, p.Error)
	}
	return nil, errors.New(p.Error)
}
