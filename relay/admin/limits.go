package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"postrider/relay"
)

// Pace shows how fast mail can go to a destination, and why not faster.
type Pace struct {
	Binding string  `json:"binding,omitempty"`
	Reach   float64 `json:"reach,omitempty"`
	Limits  []Limit `json:"limits,omitempty"`
}

// Limit is one limit on the way to a destination.
type Limit struct {
	Name string `json:"name"`
	// Of is whose it is: operator, destination, route, flow, site, provider or relay.
	Of   string  `json:"of"`
	Rate float64 `json:"rate,omitempty"`
	// Allows is a configured rate, and Left how much of it may go at once.
	Allows string `json:"allows,omitempty"`
	Left   int64  `json:"left,omitempty"`
	// Used and Most are how many connections or deliveries of how many there are.
	Used   int       `json:"used,omitempty"`
	Most   int       `json:"most,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	Binds  bool      `json:"binds"`
	Reason string    `json:"reason,omitempty"`
}

// Limits shows all that bounds what goes to a destination.
type Limits struct {
	Destination string `json:"destination"`
	// AtWork is false where nothing goes on: then the rates of the route and the destination are
	// shown, and what is known of its site is not.
	AtWork bool `json:"at_work"`
	// Binding is the limit that keeps mail waiting, and Until when it lets the next delivery go.
	Binding string    `json:"binding,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	// Reach is how many messages a second all limits let pass.
	Reach float64 `json:"reach,omitempty"`
	// Waiting are the deliveries that wait in memory, Away those that are being attempted.
	Waiting int     `json:"waiting"`
	Away    int     `json:"away"`
	Site    string  `json:"site,omitempty"`
	Source  string  `json:"source,omitempty"`
	Limits  []Limit `json:"limits"`
	// MoreFlows are how many rates of flows there are beyond those shown.
	MoreFlows int             `json:"more_flows,omitempty"`
	Learned   *Learned        `json:"learned,omitempty"`
	Addresses []AddressHealth `json:"addresses,omitempty"`
	// Errors are the latest replies that were not positive, the latest first.
	Errors []Complaint `json:"errors,omitempty"`
}

// Learned is what the deliveries to a site have taught about it.
type Learned struct {
	Window          int       `json:"window"`
	Steady          bool      `json:"steady"`
	Connections     int       `json:"connections,omitempty"`
	ConnectionsAt   time.Time `json:"connections_at,omitzero"`
	PerConnection   int       `json:"per_connection,omitempty"`
	PerConnectionAt time.Time `json:"per_connection_at,omitzero"`
	TookMS          int64     `json:"took_ms,omitempty"`
	Size            int64     `json:"size,omitempty"`
	Setbacks        int       `json:"setbacks,omitempty"`
	Failures        int       `json:"failures,omitempty"`
}

// AddressHealth is how an address of a host has fared.
type AddressHealth struct {
	Host     string    `json:"host"`
	Addr     string    `json:"addr"`
	Failures int       `json:"failures"`
	Until    time.Time `json:"until,omitzero"`
}

func limit(l relay.PaceLimit) Limit {
	v := Limit{Name: l.Name, Of: l.Of, Rate: l.Rate, Left: l.Left, Used: l.Used, Most: l.Most, Until: l.Until, Binds: l.Binds, Reason: l.Reason}
	if l.Allows.Count > 0 {
		v.Allows = l.Allows.String()
	}
	return v
}

// pace is the summary of limits that goes with a destination.
func (s *Server) pace(to relay.Destination) Pace {
	p, known := s.o.Scheduler.PaceOf(to)
	if !known {
		return Pace{}
	}
	v := Pace{Binding: p.Binding, Reach: p.Reach}
	for _, l := range p.Limits {
		v.Limits = append(v.Limits, limit(l))
	}
	return v
}

// limits shows all that bounds what goes to a destination. One that nobody knows is a mistake.
func (s *Server) limits(w http.ResponseWriter, r *http.Request) {
	to := relay.ParseDestination(r.PathValue("name"))
	p, known := s.o.Scheduler.PaceOf(to)
	if !known && len(p.Limits) == 0 && !s.waits(r.Context(), to) {
		refuse(w, http.StatusNotFound, s.unknown(to))
		return
	}
	status, _ := s.o.Scheduler.StatusOf(to)
	v := Limits{
		Destination: to.String(), AtWork: known, Binding: p.Binding, Until: p.Until, Reach: p.Reach, Waiting: status.Loaded,
		Away: status.Away, Site: status.Site, Source: p.Source, Limits: []Limit{}, MoreFlows: p.MoreFlows, Errors: s.o.Events.complaints.of(to),
	}
	for _, l := range p.Limits {
		v.Limits = append(v.Limits, limit(l))
	}
	if status.Site != "" {
		v.Learned = learned(p.Learned)
	}
	for _, a := range p.Addresses {
		v.Addresses = append(v.Addresses, AddressHealth(a))
	}
	answer(w, v)
}

// waits says whether any mail is in the spool for the destination.
func (s *Server) waits(ctx context.Context, to relay.Destination) bool {
	for _, err := range s.placesTo(ctx, relay.Place{To: to}) {
		return err == nil
	}
	return false
}

func learned(l relay.Learned) *Learned {
	return &Learned{
		Window: l.Window, Steady: l.Steady, Connections: l.Connections, ConnectionsAt: l.ConnectionsAt, PerConnection: l.PerConnection,
		PerConnectionAt: l.PerConnectionAt, TookMS: l.Took.Milliseconds(), Size: l.Size, Setbacks: l.Setbacks, Failures: l.Failures,
	}
}

// Limits shows all that bounds what goes to a destination, by its name.
func (c *Client) Limits(ctx context.Context, name string) (Limits, error) {
	var v Limits
	err := c.decode(ctx, "/v1/destinations/"+url.PathEscape(name)+"/limits", &v)
	slices.SortStableFunc(v.Limits, func(a, b Limit) int { return number(!a.Binds) - number(!b.Binds) })
	return v, err
}
