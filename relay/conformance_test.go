package relay_test

import "testing"

// The conformance list, as far as the scheduler and the notices keep it. The others of its rows are
// tests of the packages that speak to clients and to next hops.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"C08", resolvesAgain},
		{"T04", outcomesPerRecipient},
		{"T07/learning", learnsMessagesPerConnection},
		{"T08/window", ambiguousGrowsNoWindow},
		{"T08/ahead", aheadOfBreak},
		{"T09", untriedIsNoAttempt},
		{"T18", credentialsHoldTheRoute},
		{"T19", recipientsOnce},
		{"D01", returnedForms},
		{"D01/UTF-8 sender", noticeToUTF8},
		{"D02", relayedNotice},
		{"D03", delayNotice},
		{"D03/expired", expiresBehindGate},
		{"D04", oneNotice},
		{"D04/one for each settle", bounceOnce},
		{"D05", bounceOfBounce},
		{"D05/one batch", bounceInOneBatch},
		{"D06", noticeSigned},
	} {
		t.Run(row.name, row.run)
	}
}
