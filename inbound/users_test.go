package inbound

import (
	"bufio"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"postrider/relay"
)

const someHash = "$2a$04$EsbIpwYpvXNxHWjQe.c3c.1b9BvNSB9vZtB6lDaRVtnN2sWq.hVuC"

func TestParseUsers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text, fault string
		senders           senders
	}{
		{"plain", "ann:" + someHash, "", nil},
		{"senders", "# all\n\n  ann:" + someHash + ": a@example.com , @shop.example,", "", senders{"a@example.com", "@shop.example"}},
		{"no hash", "ann", "line 1: want name:bcrypt[:allowed senders]", nil},
		{"no name", "\n:" + someHash, "line 2: want name:bcrypt[:allowed senders]", nil},
		{"clear password", "ann:secret", `line 1: user "ann": the password is not a bcrypt hash`, nil},
		{"twice", "ann:" + someHash + "\nann:" + someHash, `line 2: user "ann" was named before`, nil},
		{"bad sender", "ann:" + someHash + ":x y@z", `line 1: user "ann": "x y@z": not a valid address`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			byName, err := parseUsers(bufio.NewScanner(strings.NewReader(test.text)))
			if test.fault != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.fault) {
					t.Errorf("got %v, want %s", err, test.fault)
				}
				return
			}
			if err != nil || len(byName) != 1 || !slices.Equal(byName["ann"].senders, test.senders) {
				t.Errorf("got %+v, %v, want senders %v", byName, err, test.senders)
			}
		})
	}
}

func TestDecoyIsAHash(t *testing.T) {
	t.Parallel()
	if cost, err := bcrypt.Cost([]byte(decoy)); err != nil || cost != bcrypt.DefaultCost {
		t.Errorf("cost %d, %v: an unknown name would be told by the time it takes", cost, err)
	}
}

func FuzzUsers(f *testing.F) {
	f.Add("ann:" + someHash + ":a@example.com,@shop.example\n#\nbob:" + someHash)
	f.Fuzz(func(t *testing.T, text string) {
		byName, err := parseUsers(bufio.NewScanner(strings.NewReader(text)))
		for name, u := range byName {
			if err == nil && (name == "" || len(u.hash) == 0) {
				t.Errorf("%q: user %q %+v", text, name, u)
			}
			u.senders.allow(relay.Address{Local: "a", Domain: "b"})
		}
	})
}
