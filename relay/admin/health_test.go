package admin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Whether the relay moves is proved at most once a second, whoever asks.
func TestHealth(t *testing.T) {
	t.Parallel()
	now, asked := time.Unix(1000, 0), 0
	var answer error
	s := &Server{pulse: &pulse{now: func() time.Time { return now }, alive: func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the proof may take for ever")
		}
		asked++
		return answer
	}}}
	ask := func() int {
		w := httptest.NewRecorder()
		s.health(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
		return w.Code
	}
	for _, step := range []struct {
		after        time.Duration
		answer       error
		code, proofs int
	}{
		{0, nil, 200, 1},
		{0, errors.New("stuck"), 200, 1},
		{time.Second, errors.New("stuck"), 503, 2},
		{time.Second / 2, nil, 503, 2},
		{time.Second / 2, nil, 200, 3},
	} {
		now, answer = now.Add(step.after), step.answer
		if code := ask(); code != step.code || asked != step.proofs {
			t.Errorf("after %v: %d with %d proofs, want %d with %d", step.after, code, asked, step.code, step.proofs)
		}
	}
}
