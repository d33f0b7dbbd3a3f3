package admin

import (
	"context"
	"net/http"
	"time"

	"postrider/relay"
)

// Connections shows what goes on with next hops now.
type Connections struct {
	Sites    []Site    `json:"sites"`
	Attempts []Attempt `json:"attempts"`
	// More is how many attempts there are beyond those shown, which are the oldest.
	More int `json:"more,omitempty"`
}

// Site is the hosts that destinations resolve to, and their connections by phase.
type Site struct {
	Name         string    `json:"name"`
	Opening      int       `json:"opening"`
	Carrying     int       `json:"carrying"`
	Idle         int       `json:"idle"`
	Window       int       `json:"window"`
	Destinations int       `json:"destinations"`
	Closed       bool      `json:"closed"`
	Until        time.Time `json:"until,omitzero"`
	Reason       string    `json:"reason,omitempty"`
}

// Attempt is one that is being made.
type Attempt struct {
	ID    string    `json:"id"`
	Part  uint32    `json:"part"`
	Host  string    `json:"host"`
	Addr  string    `json:"addr"`
	Since time.Time `json:"since"`
}

// attemptsMost bounds the attempts that are shown.
const attemptsMost = 200

func (s *Server) connections(w http.ResponseWriter, _ *http.Request) {
	v := Connections{Sites: []Site{}, Attempts: []Attempt{}}
	for _, site := range s.o.Scheduler.Sites() {
		v.Sites = append(v.Sites, siteOf(&site))
	}
	all := s.o.Scheduler.Attempts()
	shown := min(len(all), attemptsMost)
	v.More = len(all) - shown
	for _, a := range all[:shown] {
		v.Attempts = append(v.Attempts, Attempt{ID: a.Message.String(), Part: a.Part, Host: a.Host, Addr: a.Addr, Since: a.Since})
	}
	answer(w, v)
}

func siteOf(s *relay.SiteStatus) Site {
	v := Site{
		Name: s.Key, Opening: s.Opening, Carrying: s.Carrying, Idle: s.Idle, Window: s.Window,
		Destinations: s.Destinations, Closed: s.Closed, Until: s.Until,
	}
	if s.Closed {
		v.Reason = s.Reason.String()
	}
	return v
}

// Connections shows what goes on with next hops now.
func (c *Client) Connections(ctx context.Context) (Connections, error) {
	var v Connections
	err := c.decode(ctx, "/v1/connections", &v)
	return v, err
}
