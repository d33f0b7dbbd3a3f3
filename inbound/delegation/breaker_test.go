package delegation_test

import (
	"testing"
	"time"

	"postrider/inbound/delegation"
	"postrider/relay"
)

// A service that hangs up is left alone, with the result that its failure has anyway. One that talks
// nonsense is there, and is asked.
func TestLeftAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer string
		want   int32
	}{"hangs up": {"", 2}, "nonsense": {"action=WHAT now\n\n", 4}} {
		for _, accept := range []bool{false, true} {
			faults := int32(0)
			address, _ := server(t, func(map[string]string) string { return tt.answer })
			s := service(t, delegation.Options{
				Address: address, Accept: accept, Fault: func(relay.Fault) { faults++ },
				Breaker: relay.NewBreaker(relay.BreakerOptions{Failures: 2, First: time.Hour}),
			})
			for range 4 {
				if got := s.JudgeRcpt(t.Context(), message(), rcpt()); (got.Reply == nil) != accept || len(got.Trace) != 1 {
					t.Errorf("%s: got %v, trace %v, with accept %t", name, got.Reply, got.Trace, accept)
				}
			}
			if faults != tt.want {
				t.Errorf("%s: told of %d faults, want %d", name, faults, tt.want)
			}
		}
	}
}
