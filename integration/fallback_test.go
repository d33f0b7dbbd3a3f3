package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postrider/outbound/outboundtest"
)

// twoProviders is a route that names two, with the credentials for the first.
func twoProviders(first, second string) string {
	return fmt.Sprintf(`routes:
  - name: out
    providers:
      - {hosts: [%q], auth: {user: u, password: p}}
      - {hosts: [%q]}
retry: {first: 1s, max: 5s}
`, first, second)
}

// A provider that is down, busy, refuses the login or all mail loses its mail to the other one, and not
// one message waits for its next attempt.
func TestProviderFails(t *testing.T) {
	t.Parallel()
	users := map[string]string{"u": "p"}
	for name, answers := range map[string]map[string]string{
		"greets with 421":   {"greeting": "421 4.3.2 busy"},
		"refuses the login": {"AUTH": "535 5.7.8 no"},
		"defers MAIL":       {"MAIL": "451 4.3.0 later"},
		"421 to RCPT":       {"RCPT": "421 4.3.2 bye"},
		"limits the rate":   {"MAIL": "454 4.7.0 Throttling failure: Daily message quota exceeded."},
		"is down":           nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, time.Minute)
			script := outboundtest.Script{Users: users}
			if answers != nil {
				script.On = outboundtest.Answer(answers)
			}
			first, second := outboundtest.NewPeer(t, script), outboundtest.NewPeer(t, outboundtest.Script{})
			if answers == nil {
				first.Close()
			}
			relay := startRelay(t, ctx, twoProviders(first.Addr(), second.Addr()))
			const n = 50
			runLoad(t, ctx, relay.Addr(), n)
			second.WaitMessages(n)
			for _, line := range relay.Lines() {
				if strings.Contains(line, `"message":"deferred"`) {
					t.Errorf("deferred: %s", line)
				}
			}
			if _, err := relay.Await(ctx, "the diversion", func(line string) bool { return strings.Contains(line, `"message":"diverted"`) }); err != nil {
				t.Error(err)
			}
			if first.Count() != 0 {
				t.Errorf("the first took %d messages", first.Count())
			}
		})
	}
}

// Mail comes back to the first provider when that is up again. It takes the half minute for which a
// provider is left alone the first time.
func TestProviderReturns(t *testing.T) {
	t.Parallel()
	if !long() {
		t.Skip("waits for half a minute: POSTRIDER_LONG=1")
	}
	ctx := within(t, 3*time.Minute)
	busy := outboundtest.Script{On: outboundtest.Answer(map[string]string{"greeting": "421 4.3.2 busy"})}
	first, second := outboundtest.NewPeer(t, busy), outboundtest.NewPeer(t, outboundtest.Script{})
	relay := startRelay(t, ctx, twoProviders(first.Addr(), second.Addr()))
	runLoad(t, ctx, relay.Addr(), 10)
	second.WaitMessages(10)
	first.SetScript(outboundtest.Script{Users: map[string]string{"u": "p"}})
	sent := 10
	for tick := time.NewTicker(time.Second); first.Count() == 0; sent++ {
		select {
		case <-ctx.Done():
			t.Fatal("no mail for the first")
		case <-tick.C:
		}
		runLoad(t, ctx, relay.Addr(), 1)
	}
	already := second.Count()
	runLoad(t, ctx, relay.Addr(), 20)
	first.WaitMessages(21)
	if second.Count() != already {
		t.Errorf("the second still takes mail: %d, then %d", already, second.Count())
	}
}

// Providers with weights share the mail, and one that fails leaves its share to the other.
func TestProviderWeights(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	first, second := outboundtest.NewPeer(t, outboundtest.Script{}), outboundtest.NewPeer(t, outboundtest.Script{})
	relay := startRelay(t, ctx, fmt.Sprintf(`routes:
  - name: out
    providers: [{hosts: [%q], weight: 3}, {hosts: [%q]}]
retry: {first: 1s, max: 5s}
`, first.Addr(), second.Addr()))
	const n = 200
	send := func() {
		for i := range n {
			if err := send(relay.Addr(), fmt.Sprintf("s%d@example.com", i), "r@example.net"); err != nil {
				t.Fatal(err)
			}
		}
	}
	send()
	for tick := time.NewTicker(10 * time.Millisecond); first.Count()+second.Count() < n; {
		select {
		case <-ctx.Done():
			t.Fatalf("%d and %d of %d messages have come", first.Count(), second.Count(), n)
		case <-tick.C:
		}
	}
	if share := first.Count(); share < n*60/100 || share > n*90/100 {
		t.Errorf("the first took %d of %d, want three quarters", share, n)
	}
	first.Close()
	before := second.Count()
	send()
	second.WaitMessages(before + n)
}
