package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"postrider/relay"
)

// queue streams deliveries, one JSON object a line, and says in a last one where the next page
// begins if there is one. All deliveries come in order of arrival, those of one destination in
// the order in which they are kept: by flow and due time.
func (s *Server) queue(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, err := whole(query.Get("limit"))
	var selection Selection
	if err == nil {
		selection, err = parseSelection(query)
	}
	var found iter.Seq2[waiting, error]
	if err == nil {
		found, err = s.selected(r.Context(), &selection, query.Get("from"))
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, one := selection.exact()
	p := page{s: s, out: json.NewEncoder(w), limit: limit, one: one}
	if err := p.write(found); err != nil {
		_ = p.out.Encode(problem{err.Error()}) // a client that has gone away needs no answer
	}
}

// whole reads a number of zero or more; "" is zero.
func whole(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("limit %q: want a whole number", text)
	}
	return n, nil
}

// waiting is a delivery in the queue with its message, which is nil where it cannot be read.
type waiting struct {
	relay.Delivery
	message *relay.Message
}

// selected gives the deliveries that are meant, from a place in the list on.
func (s *Server) selected(ctx context.Context, selection *Selection, from string) (iter.Seq2[waiting, error], error) {
	sel, err := selection.selector()
	if err != nil {
		return nil, err
	}
	candidates, err := s.candidates(ctx, selection, from)
	if err != nil {
		return nil, err
	}
	return func(yield func(waiting, error) bool) {
		for d, err := range candidates {
			w, means := waiting{Delivery: d}, false
			if err == nil {
				means, err = s.means(ctx, &sel, &w)
			}
			if errors.Is(err, relay.ErrNotFound) {
				continue // delivered meanwhile
			}
			if (means || err != nil) && !yield(w, err) || err != nil {
				return
			}
		}
	}, nil
}

// means says whether the delivery is meant, and if so reads its message.
func (s *Server) means(ctx context.Context, sel *relay.Selector, w *waiting) (means bool, err error) {
	read := func() *relay.Message {
		if w.message == nil && err == nil {
			w.message, err = s.o.Spool.Message(ctx, w.Message)
		}
		return w.message
	}
	if means = s.o.Scheduler.Means(sel, &w.Delivery, read); means {
		read()
	}
	if errors.Is(err, relay.ErrCorrupt) {
		err = nil
	}
	return means, err
}

// candidates gives the deliveries among which those that are meant are to be found.
func (s *Server) candidates(ctx context.Context, selection *Selection, from string) (iter.Seq2[relay.Delivery, error], error) {
	to, one := selection.exact()
	if !one {
		start, err := parseStart(from)
		return s.arrived(ctx, start), err
	}
	start := relay.Place{To: to}
	if from != "" {
		var err error
		if start, err = parseCursor(from); err != nil || start.To != to {
			return nil, fmt.Errorf("from %q: not where a page of %s begins", from, to)
		}
	}
	return s.deliveriesTo(ctx, start), nil
}

// parseStart reads an ID, or "ID.part".
func parseStart(text string) (start relay.DeliveryID, err error) {
	if text == "" {
		return start, nil
	}
	id, part, found := strings.Cut(text, ".")
	if start.Message, err = relay.ParseID(id); err == nil && found {
		var n uint64
		n, err = strconv.ParseUint(part, 10, 32)
		start.Part = uint32(n)
	}
	return start, err
}

// arrived yields deliveries in order of arrival from one on.
func (s *Server) arrived(ctx context.Context, start relay.DeliveryID) iter.Seq2[relay.Delivery, error] {
	return func(yield func(relay.Delivery, error) bool) {
		for d, err := range s.o.Spool.List(ctx, start.Message) {
			if err == nil && d.Message == start.Message && d.Part < start.Part {
				continue
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// cursorOf names a place, for who asks for the next page.
func cursorOf(p relay.Place) string {
	text, err := json.Marshal(p)
	if err != nil {
		return "" // a place has nothing that JSON cannot say
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(text string) (p relay.Place, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(raw, &p)
}

// placesTo yields the places of a destination from one on: what is in its bin, and then what
// is held.
func (s *Server) placesTo(ctx context.Context, start relay.Place) iter.Seq2[relay.Place, error] {
	return func(yield func(relay.Place, error) bool) {
		for {
			for p, err := range s.o.Spool.Places(ctx, start) {
				if err == nil && (p.To != start.To || p.Held != start.Held) {
					break
				}
				if !yield(p, err) || err != nil {
					return
				}
			}
			if start.Held {
				return
			}
			start = relay.Place{Held: true, To: start.To}
		}
	}
}

// deliveriesTo reads what placesTo finds.
func (s *Server) deliveriesTo(ctx context.Context, start relay.Place) iter.Seq2[relay.Delivery, error] {
	return func(yield func(relay.Delivery, error) bool) {
		for p, err := range s.placesTo(ctx, start) {
			if err != nil {
				yield(relay.Delivery{}, err)
				return
			}
			ds, err := s.o.Spool.Deliveries(ctx, p.Message)
			if err != nil {
				yield(relay.Delivery{}, err)
				return
			}
			for _, d := range ds {
				// One that has gone meanwhile is not there, one that has moved is elsewhere.
				if d.Part == p.Part && d.To == p.To && !yield(d, nil) {
					return
				}
			}
		}
	}
}

// page writes entries until the limit.
type page struct {
	s     *Server
	out   *json.Encoder
	limit int
	// one says that the list is of one destination.
	one     bool
	written int
}

// nextPage is the last line of a page that is not the last.
type nextPage struct {
	Next string `json:"next"`
}

func (p *page) write(found iter.Seq2[waiting, error]) error {
	for w, err := range found {
		if err != nil {
			return err
		}
		if p.limit > 0 && p.written == p.limit {
			return p.out.Encode(nextPage{p.cursor(&w.Delivery)})
		}
		if err := p.out.Encode(entry(w.Delivery, w.message, p.s.o.Scheduler, p.s.o.Now())); err != nil {
			return err
		}
		p.written++
	}
	return nil
}

func (p *page) cursor(d *relay.Delivery) string {
	if p.one {
		return cursorOf(relay.PlaceOf(d))
	}
	return d.DeliveryID.String()
}

func (s *Server) message(w http.ResponseWriter, r *http.Request) {
	id, err := relay.ParseID(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	m, err := s.o.Spool.Message(r.Context(), id)
	if errors.Is(err, relay.ErrNotFound) {
		refuse(w, http.StatusNotFound, fmt.Errorf("%s is not in the queue: delivered, returned or never here", id))
		return
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	ds, err := s.o.Spool.Deliveries(r.Context(), id)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	v := detail(m)
	for _, d := range ds {
		v.Deliveries = append(v.Deliveries, entry(d, m, s.o.Scheduler, s.o.Now()))
	}
	answer(w, v)
}
