package relaytest

import (
	"testing"

	"postrider/relay"
)

// TestSpool is the contract of relay.Spool as tests. Open returns an empty spool that is
// closed with the test.
func TestSpool(t *testing.T, open func(t *testing.T) relay.Spool) {
	tests := []struct {
		name string
		run  func(*spoolTest)
	}{
		{"what is committed can be read", testCommit},
		{"a draft is invisible", testDraft},
		{"a draft ends once", testDraftEnds},
		{"drafts are apart", testDraftsApart},
		{"long bodies", testLongBodies},
		{"bodies seek", testSeek},
		{"a failed commit leaves nothing", testCommitFails},
		{"what is not there is not found", testNotFound},
		{"claims come in order of due", testClaimOrder},
		{"claims keep to their bin and flow", testClaimBins},
		{"a claim holds until it is released", testRelease},
		{"earlier mail that comes later", testClaimEarlier},
		{"a message is claimed as a whole", testClaimMessage},
		{"born claimed", testBornClaimed},
		{"concurrent claims are disjoint", testClaimConcurrent},
		{"claims are counted", testClaims},
		{"the last one out removes the message", testLastOneOut},
		{"a deferred delivery keeps its part", testDefer},
		{"a delivery moves to another bin and back", testMove},
		{"recipients part ways", testSplit},
		{"part numbers are not reused", testPartNumbers},
		{"notices come with the settlement", testNotices},
		{"a failed settle changes nothing", testSettleFails},
		{"settling needs the claim", testSettleUnclaimed},
		{"parts are settled together or not at all", testSettleTogether},
		{"siblings settle at once", testSiblings},
		{"quarantine", testQuarantine},
		{"bins and their heads", testBinHeads},
		{"bins from a position", testBinsFrom},
		{"held deliveries are in no bin", testHeld},
		{"born held", testBornHeld},
		{"held and claimed are told apart", testHeldClaims},
		{"messages and deliveries in order of arrival", testArrival},
		{"places of deliveries", testPlaces},
		{"a thousand destinations", testThousand},
		{"any text in names", testNames},
		{"everything is delivered once", testChurn},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(newSpoolTest(t, open(t)))
		})
	}
}
