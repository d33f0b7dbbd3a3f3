package admin

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"postrider/relay"
)

const (
	// healthTime is how long the relay may take to prove that it moves.
	healthTime = 5 * time.Second
	// healthFresh is how long a proof is good for: everybody may ask, and a proof is a write.
	healthFresh = time.Second
)

// pulse asks whether the relay moves, one question at a time.
type pulse struct {
	alive func(context.Context) error
	now   func() time.Time

	mu   sync.Mutex
	at   time.Time
	last error
	took time.Duration
}

func (p *pulse) feel(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive == nil || !p.at.IsZero() && p.now().Sub(p.at) < healthFresh {
		return p.last
	}
	// The answer is for all who ask, so it does not end with who asked first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTime)
	defer cancel()
	began := p.now()
	p.last = p.alive(ctx)
	p.at = p.now()
	p.took = p.at.Sub(began)
	return p.last
}

// Figures show the proof to metrics, as the watchdog sees it.
func (p *pulse) Figures() []relay.Figure {
	moves := number(p.feel(context.Background()) == nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	return []relay.Figure{
		{Name: "moving", Help: "1 while the scheduler and the spool prove that they move, as for the watchdog.", Value: float64(moves)},
		{Name: "moving_proof_seconds", Help: "How long the latest proof took: a round of the scheduler and a write to the spool.", Value: p.took.Seconds()},
	}
}

// health says whether the relay moves.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if err := s.pulse.feel(r.Context()); err != nil {
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

// Health returns nil if the relay moves.
func (c *Client) Health(ctx context.Context) error {
	body, err := c.get(ctx, "/healthz")
	if err != nil {
		return err
	}
	return body.Close()
}
