package integration_test

import (
	"fmt"
	"testing"
	"time"

	"postrider/integration"
)

// nextHops are real servers as next hops, with and without CHUNKING.
var nextHops = map[string]func(t *testing.T, chunking bool) string{
	"Postfix": func(t *testing.T, chunking bool) string {
		ctx := within(t, 2*time.Minute)
		extra := "smtpd_client_connection_rate_limit = 0\n"
		if !chunking {
			extra += "smtpd_discard_ehlo_keywords = chunking\n"
		}
		return newPostfix(t, ctx, newSink(t, ctx, "127.0.0.1:0").Addr(), extra).Addr()
	},
	"Exim": func(t *testing.T, chunking bool) string {
		needs(t, "exim4")
		extra := ""
		if !chunking {
			extra = "chunking_advertise_hosts =\n"
		}
		e, err := integration.StartExim(within(t, 2*time.Minute), folder(t), extra)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			e.Kill()
			if t.Failed() {
				t.Logf("Exim's log:\n%s", e.Log())
			}
		})
		return e.Addr()
	},
}

// A message costs one round trip on a warm connection, or less, with 50 ms between us and
// a real next hop.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	const messages = 20
	for name, server := range nextHops {
		for _, chunking := range []bool{false, true} {
			for _, recipients := range []int{1, 20}[:scaled(1, 2)] {
				t.Run(fmt.Sprintf("%s/chunking=%v/%d", name, chunking, recipients), func(t *testing.T) {
					t.Parallel()
					ctx := within(t, 2*time.Minute)
					far, err := integration.NewDelay(server(t, chunking), 50*time.Millisecond)
					if err != nil {
						t.Fatal(err)
					}
					relay := startRelay(t, ctx, smartHost(far.Addr())+"delivery: {connections: 1, idle: 1s}\n")
					runLoad(t, ctx, relay.Addr(), messages, "--recipients", fmt.Sprint(recipients))
					if err := far.AwaitEnd(ctx); err != nil {
						t.Fatal(err)
					}
					sessions, trips := far.Counts()
					// Besides one for each message: the opening, EHLO, one more for the first, and QUIT.
					if sessions != 1 || trips > messages+4 {
						t.Errorf("%d round trips in %d sessions for %d messages", trips, sessions, messages)
					}
					t.Logf("%.2f round trips for a message", float64(trips)/messages)
					if left, err := relay.Command(ctx, "queue", "list"); err != nil || countLines(left) > 1 {
						t.Errorf("left in the queue (%v):\n%s", err, left)
					}
				})
			}
		}
	}
}

func countLines(text string) int {
	n := 0
	for _, c := range text {
		if c == '\n' {
			n++
		}
	}
	return n
}
