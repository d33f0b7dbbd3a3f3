package inbound_test

import (
	"net"
	"testing"
)

// A socket that is bound already is taken over, and serves its listener.
func TestBound(t *testing.T) {
	t.Parallel()
	bound, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	h.options.Listeners[0].Address = "127.0.0.1:1" // not to be bound: it would be refused
	h.options.Bound = map[string]net.Listener{"main": bound}
	h.open().run()
	if got := h.server.Addrs()["main"].String(); got != bound.Addr().String() {
		t.Errorf("listens at %s, want %s", got, bound.Addr())
	}
	conn, err := net.Dial("tcp", bound.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	greeting := make([]byte, 4)
	if _, err := conn.Read(greeting); err != nil || string(greeting) != "220 " {
		t.Errorf("greeting %q (%v)", greeting, err)
	}
}
