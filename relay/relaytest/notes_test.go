package relaytest_test

import (
	"testing"

	"postrider/relay"
	"postrider/relay/relaytest"
)

func TestNotes(t *testing.T) {
	relaytest.TestNotes(t, func(*testing.T) relay.Notes { return &relaytest.Notes{} })
}
