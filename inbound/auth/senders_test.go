package auth

import (
	"testing"

	"postrider/relay"
)

// A service that names no senders allows none.
func TestNoSenders(t *testing.T) {
	t.Parallel()
	yes := true
	id, err := (&answer{OK: &yes, Senders: []string{}}).identity("ann")
	if err != nil {
		t.Fatal(err)
	}
	if id.Senders.Allow(relay.Address{Local: "ceo", Domain: "example.com"}) {
		t.Error("a service that allows no sender allows any")
	}
}

// A From field that names nobody, only a group, is not the user's.
func TestHeaderOfNobody(t *testing.T) {
	t.Parallel()
	a := &Authority{o: Options{FromHeader: true}}
	id := &Identity{User: "bob", Senders: Senders{"bob@example.com"}}
	if a.Header(id, []string{`"ceo@example.com":;`}) == nil {
		t.Error("a From of nobody passes")
	}
}
