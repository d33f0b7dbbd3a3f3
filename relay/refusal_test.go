package relay_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postrider/relay"
)

// TestReasons: each word stands alone and can be a metric's label.
func TestReasons(t *testing.T) {
	t.Parallel()
	word := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	all := relay.Reasons()
	for i, r := range all {
		if !word.MatchString(string(r)) || slices.Contains(all[:i], r) {
			t.Errorf("reason %q is no word of its own", r)
		}
	}
}

func recipients(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("b%d@one.test", i))
	}
	return all
}

// TestRefusedReason: the observer learns why, whoever refused.
func TestRefusedReason(t *testing.T) {
	t.Parallel()
	looping := strings.Repeat("Received: from here\r\n", relay.DefaultHops) + "\r\n"
	for _, tt := range []struct {
		name, content string
		to            int
		policy        *relay.Reply
		want          relay.Reason
	}{
		{"recipients", "\r\n", relay.DefaultRecipients + 1, nil, relay.ReasonRecipients},
		{"none", "\r\n", 0, nil, relay.ReasonProtocol},
		{"hops", looping, 1, nil, relay.ReasonHops},
		{"header", strings.Repeat("x", relay.DefaultHeaderSize+1), 1, nil, relay.ReasonSize},
		{"NUL", "Subject: \x00\r\n\r\n", 1, nil, relay.ReasonContent},
		{"rule", "\r\n", 1, relay.NewReply(550, relay.EnhancedCode{5, 7, 1}, "no"), relay.ReasonPolicy},
		{"rule's own", "\r\n", 1, relay.NewReply(450, relay.EnhancedCode{4, 7, 1}, "no").For(relay.ReasonRate), relay.ReasonRate},
		{"fault", "\r\n", 1, relay.LocalError(nil), relay.ReasonLocal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.policy.OnData = func(*relay.Message) *relay.Reply { return tt.policy }
				r.start(t)
				r.try("a@example.com", strings.NewReader(tt.content), recipients(tt.to)...)
				refused := r.observer.AllRefused()
				if len(refused) != 1 || refused[0].Reason != tt.want {
					t.Errorf("refused %+v, want one for %q", refused, tt.want)
				}
			})
		})
	}
}
