package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// heartbeat is how often a stream without events shows that it is alive.
const heartbeat = 15 * time.Second

// tail streams events as they happen, from now on until the client goes: as JSON lines, or as
// server-sent events to who accepts text/event-stream.
func (s *Server) tail(w http.ResponseWriter, r *http.Request) {
	filter, err := eventFilter(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	out := &eventStream{w: w, control: http.NewResponseController(w), sse: strings.Contains(r.Header.Get("Accept"), "text/event-stream")}
	reader := s.o.Events.subscribe(filter, readerBuffer)
	defer s.o.Events.unsubscribe(reader)
	out.begin()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for err == nil {
		if lost := reader.lost.Swap(0); lost > 0 {
			err = out.event(&Event{Time: s.o.Now(), Event: EventLost, Lost: lost})
			continue
		}
		select {
		case e := <-reader.events:
			err = out.event(&e)
			if len(reader.events) == 0 && err == nil {
				err = out.control.Flush()
			}
		case <-beat.C:
			err = out.beat()
		case <-r.Context().Done():
			return
		case <-s.stopping:
			return
		}
	}
}

func eventFilter(r *http.Request) (EventFilter, error) {
	q := r.URL.Query()
	f := EventFilter{
		ID: q.Get("id"), From: q.Get("from"), To: q.Get("to"), Destination: q.Get("destination"),
		User: q.Get("user"), Client: q.Get("client"),
	}
	for _, list := range q["event"] {
		for word := range strings.SplitSeq(list, ",") {
			if !slices.Contains(EventWords(), word) {
				return f, fmt.Errorf("event %q: want one of %s", word, strings.Join(EventWords(), ", "))
			}
			f.Events = append(f.Events, word)
		}
	}
	return f, nil
}

// eventStream writes events in one of the two forms.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sse     bool
}

func (s *eventStream) begin() {
	kind := "application/x-ndjson"
	if s.sse {
		kind = "text/event-stream"
	}
	s.w.Header().Set("Content-Type", kind)
	s.w.Header().Set("Cache-Control", "no-store")
	s.w.WriteHeader(http.StatusOK)
	// A client that has gone away is noticed at the first event.
	_ = s.control.Flush()
}

func (s *eventStream) event(e *Event) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	form := "%s\n"
	if s.sse {
		form = "data: %s\n\n"
	}
	_, err = fmt.Fprintf(s.w, form, text)
	return err
}

// beat sends what both forms ignore.
func (s *eventStream) beat() error {
	text := "\n"
	if s.sse {
		text = ":\n\n"
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
