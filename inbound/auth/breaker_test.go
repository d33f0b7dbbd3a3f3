package auth_test

import (
	"context"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"postrider/inbound/auth"
	"postrider/relay"
)

// An HTTP service that does not answer is left alone: users are told to come again, and at once. One
// that answers with an error is there, and is asked: no name that a client makes up shuts others out.
func TestHTTPLeftAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   int32
	}{
		"hangs up":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 2},
		"answers 500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 4},
	} {
		var asked atomic.Int32
		r := calling(t, func(w http.ResponseWriter, req *http.Request) { asked.Add(1); tt.answer(w, req) })
		r.options.HTTP.Breaker = relay.NewBreaker(relay.BreakerOptions{Failures: 2, First: time.Hour})
		r.open()
		for range 4 {
			x, _ := r.Begin(auth.Plain, netip.MustParseAddr("192.0.2.1"), "main")
			if _, _, reply := x.Next(context.Background(), []byte("\x00ann\x00secret")); reply == nil || reply.Code != 454 {
				t.Errorf("%s: got %v, want 454", name, reply)
			}
		}
		if asked.Load() != tt.want {
			t.Errorf("%s: asked %d times, want %d", name, asked.Load(), tt.want)
		}
	}
}
