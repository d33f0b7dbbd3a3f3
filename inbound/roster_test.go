package inbound

import (
	"net/netip"
	"testing"

	"postrider/relay"
)

// Sessions whose end is on its way are bounded as those are that go on.
func TestParting(t *testing.T) {
	t.Parallel()
	r := newRoster(Limits{Connections: 2})
	limits := Limits{Connections: 2, ConnectionsPerClient: 2}
	leave := func() bool {
		t.Helper()
		s := &session{wire: &wire{limits: limits}, listener: &Listener{Name: "a"}}
		s.origin = &relay.Origin{Client: netip.MustParseAddr("192.0.2.1")}
		if reply := r.enter(s); reply != nil {
			t.Fatal(reply)
		}
		return r.leave(s)
	}
	for n, want := range []bool{true, true, false} {
		if got := leave(); got != want {
			t.Errorf("session %d may take its time: %v, want %v", n+1, got, want)
		}
	}
	for range 3 {
		r.forget()
	}
	if !leave() {
		t.Error("none may take its time after all were forgotten")
	}
}
