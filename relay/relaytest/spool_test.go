package relaytest_test

import (
	"testing"

	"postrider/relay"
	"postrider/relay/relaytest"
)

func TestSpool(t *testing.T) {
	t.Parallel()
	relaytest.TestSpool(t, func(*testing.T) relay.Spool { return relaytest.NewSpool() })
}
