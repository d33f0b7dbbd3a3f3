package hook_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postrider/inbound/hook"
	"postrider/relay"
)

// A service that does not answer is left alone, with the result that its failure has anyway. One that
// answers with an error is there, and is asked.
func TestLeftAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   int32
	}{
		"hangs":       {func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }, 2},
		"answers 500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 4},
	} {
		for _, accept := range []bool{false, true} {
			var asked atomic.Int32
			faults := int32(0)
			h, err := hook.New(hook.Options{
				Name: "test", Timeout: 100 * time.Millisecond, Accept: accept, Fault: func(relay.Fault) { faults++ },
				URL:     serve(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); tt.answer(w, r) }),
				Breaker: relay.NewBreaker(relay.BreakerOptions{Failures: 2, First: time.Hour}),
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 4 {
				if got := h.Judge(t.Context(), message(), strings.NewReader("x")); (got.Reply == nil) != accept || len(got.Trace) != 1 {
					t.Errorf("%s: got %v, trace %v, with accept %t", name, got.Reply, got.Trace, accept)
				}
			}
			if faults != tt.want || asked.Load() != tt.want {
				t.Errorf("%s: asked %d times, told of %d faults, want %d", name, asked.Load(), faults, tt.want)
			}
		}
	}
}
