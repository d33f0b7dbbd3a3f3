package admin

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"postrider/relay"
)

// Destination shows one destination: how it stands, and how much waits there.
type Destination struct {
	Bin   Bin   `json:"bin"`
	Depth Depth `json:"depth"`
	// Minutes are the bounds of the ages in Depth.
	Minutes []int `json:"minutes"`
	Pace    Pace  `json:"pace"`
	// Open are the connections to its site, the longest in their phase first.
	Open []Connection `json:"open,omitempty"`
}

// Connection is what a connection does, and since when.
type Connection struct {
	Phase string    `json:"phase"`
	Since time.Time `json:"since"`
	// ID is the message that is being attempted.
	ID string `json:"id,omitempty"`
	// WrittenOff says that it has not moved for long, and that others have its place.
	WrittenOff bool `json:"written_off,omitempty"`
}

func (s *Server) open(to relay.Destination) (all []Connection) {
	for _, c := range s.o.Scheduler.ConnectionsOf(to) {
		v := Connection{Phase: c.Phase.String(), Since: c.Since, WrittenOff: c.WrittenOff}
		if c.Phase == relay.PhaseCarrying {
			v.ID = c.Delivery.Message.String()
		}
		all = append(all, v)
	}
	return all
}

func (s *Server) destinations(w http.ResponseWriter, _ *http.Request) {
	bins := []Bin{}
	for _, b := range s.o.Scheduler.Status() {
		bins = append(bins, bin(b))
	}
	answer(w, bins)
}

// destination shows one. A destination without mail is no mistake as long as the scheduler
// knows it; one that nobody knows is.
func (s *Server) destination(w http.ResponseWriter, r *http.Request) {
	to := relay.ParseDestination(r.PathValue("name"))
	status, known := s.o.Scheduler.StatusOf(to)
	c, err := takeCensus(s.placesTo(r.Context(), relay.Place{To: to}), s.o.Now(), 1)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	if !known && c.Deliveries == 0 {
		refuse(w, http.StatusNotFound, s.unknown(to))
		return
	}
	v := Destination{Bin: bin(status), Pace: s.pace(to), Open: s.open(to), Minutes: c.Minutes, Depth: Depth{Destination: to.String(), Ages: c.Ages}}
	if len(c.Rows) > 0 {
		v.Depth = c.Rows[0]
	}
	answer(w, v)
}

// unknown says so, and names a destination that may have been meant.
func (s *Server) unknown(to relay.Destination) error {
	for _, b := range s.o.Scheduler.Status() {
		if name := b.To.String(); strings.EqualFold(b.To.Domain, to.String()) || strings.EqualFold(name, to.String()) {
			return fmt.Errorf("no mail waits for %q; did you mean %q?", to, name)
		}
	}
	return fmt.Errorf("no mail waits for %q, and nothing is open to it", to)
}

// stats takes a census.
func (s *Server) stats(w http.ResponseWriter, r *http.Request) {
	most, err := whole(r.URL.Query().Get("limit"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if most == 0 || most > statsMost {
		most = statsMost
	}
	c, err := s.census.fresh(r.Context(), most)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, c)
}

// statsMost is the most destinations of a census.
const statsMost = 1000
