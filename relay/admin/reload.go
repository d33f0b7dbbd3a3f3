package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Reloader reads the configuration again.
type Reloader interface {
	// Reload takes it up, the whole of it or nothing. The error has all faults.
	Reload() (Reload, error)
	// Reloaded says how the latest one ended; false where there was none.
	Reloaded() (Reload, bool)
}

// Reload is how a reload of the configuration ended.
type Reload struct {
	At time.Time `json:"at"`
	// Changed are the keys that are different now.
	Changed []string `json:"changed,omitempty"`
	// Error has all faults of a configuration that was not taken up.
	Error string `json:"error,omitempty"`
	// Rerouting is the latest look at what is queued, for what goes elsewhere now.
	Rerouting *Rerouting `json:"rerouting,omitempty"`
}

// Rerouting is how far a look at all that is queued has come. See relay.Rerouting.
type Rerouting struct {
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended,omitzero"`
	Seen  int       `json:"seen"`
	Moved int       `json:"moved"`
	Busy  int       `json:"busy"`
}

var errNoReload = errors.New("nothing has been reloaded since the start")

func (s *Server) reload(w http.ResponseWriter, _ *http.Request) {
	if s.o.Reloader == nil {
		refuse(w, http.StatusNotFound, errNoReload)
		return
	}
	done, err := s.o.Reloader.Reload()
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	answer(w, done)
}

func (s *Server) reloaded(w http.ResponseWriter, _ *http.Request) {
	if s.o.Reloader != nil {
		if last, any := s.o.Reloader.Reloaded(); any {
			answer(w, last)
			return
		}
	}
	refuse(w, http.StatusNotFound, errNoReload)
}

// Reload has the daemon read its configuration again. The error has all its faults.
func (c *Client) Reload(ctx context.Context) (Reload, error) {
	var v Reload
	body, err := c.post(ctx, "/v1/reload", struct{}{})
	if err != nil {
		return v, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&v); err != nil {
		return v, fmt.Errorf("read the daemon's answer: %w", err)
	}
	return v, nil
}

// Reloaded says how the latest reload ended, and how far the mail is that goes elsewhere since.
func (c *Client) Reloaded(ctx context.Context) (Reload, error) {
	var v Reload
	err := c.decode(ctx, "/v1/reload", &v)
	return v, err
}
