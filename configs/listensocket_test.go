package configs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postrider/configs"
	"postrider/inbound"
)

const listenSocket = "hostname: relay.example.com\nlisten:\n  - {name: a, address: %q, allow: [127.0.0.1], socket: %s}\n"

// Who may connect to a Unix socket is a mode in octal, and a group by name or number.
func TestListenSocket(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		address, socket string
		want            inbound.Socket
		fault           string
	}{
		{"unix:/run/x", `{mode: 0660, group: 0}`, inbound.Socket{Mode: 0o660, Group: "0"}, ""},
		{"unix:/run/x", `{mode: "660"}`, inbound.Socket{Mode: 0o660}, ""},
		{"unix:/run/x", `{mode: 0o666}`, inbound.Socket{Mode: 0o666}, ""},
		{"unix:/run/x", `{group: root}`, inbound.Socket{Group: "root"}, ""},
		{"unix:/run/x", `{}`, inbound.Socket{}, ""},
		{":25", `{}`, inbound.Socket{}, ""},
		{"unix:/run/x", `{mode: 0680}`, inbound.Socket{}, `:3:74: listen[0].socket.mode: "0680" is not a mode such as 0660`},
		{"unix:/run/x", `{mode: u=rw}`, inbound.Socket{}, `listen[0].socket.mode: "u=rw" is not a mode such as 0660`},
		{"unix:/run/x", `{mode: 01660}`, inbound.Socket{}, `listen[0].socket.mode: "01660" is not a mode such as 0660`},
		{"unix:/run/x", `{mode: 0}`, inbound.Socket{}, `listen[0].socket.mode: "0" keeps the relay itself from its socket`},
		{"unix:/run/x", `{mode: 0060}`, inbound.Socket{}, `listen[0].socket.mode: "0060" keeps the relay itself from its socket`},
		{"unix:/run/x", `{group: no-such-group}`, inbound.Socket{}, `:3:75: listen[0].socket.group: "no-such-group" is no group of this host`},
		{"unix:/run/x", `{gruop: mail}`, inbound.Socket{}, `unknown key listen[0].socket.gruop: did you mean "group"?`},
		{"unix:/run/x", `0660`, inbound.Socket{}, `:3:67: listen[0].socket: want a mapping`},
		{":25", `{mode: 0660}`, inbound.Socket{}, `listen[0].socket: is for a Unix socket, which :25 is not`},
		{":25", `{group: root}`, inbound.Socket{}, `listen[0].socket: is for a Unix socket, which :25 is not`},
		{"unix:@x", `{mode: 0660}`, inbound.Socket{}, `listen[0].socket: unix:@x is an abstract socket`},
	} {
		c, err := load(t, fmt.Sprintf(listenSocket, test.address, test.socket), configs.Overrides{})
		switch {
		case test.fault == "" && err != nil:
			t.Errorf("%s with %s: %v", test.address, test.socket, err)
		case test.fault == "" && c.Inbound.Listeners[0].Socket != test.want:
			t.Errorf("%s with %s: got %+v, want %+v", test.address, test.socket, c.Inbound.Listeners[0].Socket, test.want)
		case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
			t.Errorf("%s with %s: got %v, want %q", test.address, test.socket, err, test.fault)
		}
	}
}

// Another mode is a change that takes no new start.
func TestListenSocketChanges(t *testing.T) {
	t.Parallel()
	one, err := load(t, fmt.Sprintf(listenSocket, "unix:/run/x", "{mode: 0600}"), configs.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := load(t, fmt.Sprintf(listenSocket, "unix:/run/x", "{mode: 0660}"), configs.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := one.Changes(two); err != nil || fmt.Sprint(changed) != "[listen[a].socket.mode]" {
		t.Errorf("changed %v (%v), want the mode", changed, err)
	}
}

// The shipped unit makes the directories of the sockets that the examples have: all else in /run is
// closed to the service.
func TestRuntimeDirectory(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("systemd/postrider.service")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatal(examples, err)
	}
	ours := regexp.MustCompile(`(?:address: *"?unix:|socket: *)/run/(postrider[^/]*)/`)
	found := 0
	for _, name := range examples {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range ours.FindAllSubmatch(text, -1) {
			found++
			if !strings.Contains(string(unit), "\nRuntimeDirectory="+string(dir[1])+"\n") {
				t.Errorf("%s has a socket in /run/%s, which the unit does not make", name, dir[1])
			}
		}
	}
	if found < 3 {
		t.Errorf("%d sockets found, want those of direct.yaml and reference.yaml", found)
	}
}
