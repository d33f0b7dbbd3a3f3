package inbound_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postrider/inbound"
)

// change takes up other options.
func (h *house) change(edit func(*inbound.Options)) {
	h.t.Helper()
	o := h.options
	o.Listeners = append([]inbound.Listener(nil), o.Listeners...)
	edit(&o)
	c, err := h.server.Prepare(o)
	if err != nil {
		h.t.Fatal(err)
	}
	c.Commit(func() {})
	h.options = o
}

// Listeners come, go and change while sessions go on.
func TestChangeListeners(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Listeners = append(h.options.Listeners, inbound.Listener{Name: "leaving", Address: "127.0.0.1:0"})
	h.open().run()
	staying, leaving, busy := h.greeted(), h.greetedAt("leaving"), h.greetedAt("leaving")
	main, gone := h.addr(), h.server.Addrs()["leaving"].String()
	busy.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
	busy.codes("250", "250", "354")

	h.change(func(o *inbound.Options) {
		o.Listeners[0].Discard = []string{"CHUNKING"}
		o.Listeners[1] = inbound.Listener{Name: "coming", Address: "localhost:0", Limits: inbound.Limits{MessageSize: 100_000}}
	})
	if h.addr() != main {
		t.Errorf("main moved from %s to %s", main, h.addr())
	}
	if conn, err := net.Dial("tcp", gone); err == nil {
		conn.Close()
		t.Error("the listener that is gone still takes connections")
	}
	leaving.codes("421")
	busy.send("Subject: x\r\n\r\nx\r\n.\r\n")
	busy.codes("250", "421")
	staying.talk("C: NOOP\nS: 250 2.0.0 Ok")
	if lines := strings.Join(h.extensionsAt("main"), " "); strings.Contains(lines, "CHUNKING") {
		t.Errorf("a new session at main is offered %s", lines)
	}
	if lines := strings.Join(h.extensionsAt("coming"), " "); !strings.Contains(lines, "SIZE 100000") {
		t.Errorf("a session at the new listener is offered %s", lines)
	}
}

// extensionsAt are the lines of EHLO in a session of its own.
func (h *house) extensionsAt(listener string) []string {
	h.t.Helper()
	c := h.dialAt(listener)
	c.codes("220")
	c.send("EHLO client.example\r\n")
	return c.ehlo()
}

// A listener that is called otherwise keeps its socket. Its sessions begin anew: the rules know
// them by its name.
func TestChangeOfAName(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.open().run()
	c, at := h.greeted(), h.addr()
	h.change(func(o *inbound.Options) { o.Listeners[0].Name = "other" })
	if got := h.server.Addrs()["other"].String(); got != at {
		t.Errorf("it moved from %s to %s", at, got)
	}
	c.codes("421")
	h.greetedAt("other")
}

// What has a fault changes nothing, and what was opened for it is closed again.
func TestChangeWithFaults(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	h := newHouse(t)
	h.open().run()
	c := h.greeted()
	o := h.options
	o.Limits.Connections = 1
	o.Listeners = []inbound.Listener{
		{Name: "main", Address: "127.0.0.1:0", Discard: []string{"CHUNKING"}},
		{Name: "taken", Address: taken.Addr().String()},
		{Name: "nowhere", Address: "unix:" + t.TempDir() + "/no/socket"},
	}
	_, err = h.server.Prepare(o)
	for _, want := range []string{`"taken"`, `"nowhere"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v says nothing of %s", err, want)
		}
	}
	if len(h.server.Addrs()) != 1 {
		t.Errorf("listening at %v", h.server.Addrs())
	}
	c.talk("C: NOOP\nS: 250 2.0.0 Ok")
	if lines := strings.Join(h.extensionsAt("main"), " "); !strings.Contains(lines, "CHUNKING") {
		t.Errorf("a session at main is offered %s", lines)
	}
}

// Who failed too often stays unheard, and others are known at once.
func TestChangeOfUsers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	one, two := usersFile(t), filepath.Join(t.TempDir(), "users")
	text, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	write(t, two, strings.ReplaceAll(string(text), "ann:", "eve:"))
	h.options.Listeners[0].Auth = inbound.AuthRequired
	h.options.Users.File = one
	h.options.Users.Failures.N, h.options.Users.Failures.Per = 3, patience*100
	h.open().run()
	h.login("AGFubgBzZWNyZXQ=", "235")
	for range 3 {
		h.login("AGV2ZQB3cm9uZw==", "535")
	}
	h.change(func(o *inbound.Options) { o.Users.File = two })
	h.login("AGV2ZQBzZWNyZXQ=", "421")
	h.change(func(o *inbound.Options) { o.Users.Failures.N = 50 })
	h.login("AGV2ZQBzZWNyZXQ=", "235")
	h.login("AGFubgBzZWNyZXQ=", "535")
}
