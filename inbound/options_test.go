package inbound_test

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/inbound"
	"postrider/inbound/auth"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	o := inbound.Options{
		Listeners: []inbound.Listener{
			{Name: "a", Address: "127.0.0.1"},
			{Name: "a", Address: "unix:", Auth: "sometimes"},
			{Address: ":25", TLS: inbound.TLSOptions{Mode: "ssl"}},
			{Name: "c", Address: ":25", TLS: inbound.TLSOptions{Mode: inbound.TLSImplicit}},
			{Name: "d", Address: ":25", TLS: inbound.TLSOptions{Certificates: []inbound.Certificate{{CertFile: "/missing.pem", KeyFile: "/missing.key"}}}},
			{Name: "e", Address: ":25", Auth: inbound.AuthRequired},
		},
		Limits: inbound.Limits{CommandLength: 100, Idle: -time.Second},
		Users:  auth.Options{File: "/missing.users"},
	}
	err := o.Validate()
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{
		"no hostname", "a limit is negative", `listener "a": the name is used twice`, `listener "a": address:`, "unix:",
		`auth mode "sometimes"`, `TLS mode "ssl"`, "TLS mode implicit needs a certificate", "/missing.pem", "/missing.users", `listener "": no name`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among the faults:\n%v", want, err)
		}
	}
	o = inbound.Options{Hostname: "mx.example.com", Listeners: []inbound.Listener{{Name: "a", Address: ":25"}}}
	if err := o.Validate(); err != nil {
		t.Errorf("a plain configuration: %v", err)
	}
	o.Limits.CommandLength = 100
	if err := o.Validate(); err == nil {
		t.Error("commands of 100 bytes: no fault")
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	h := newHouse(t)
	h.receive()
	h.options.Listeners = append(h.options.Listeners, inbound.Listener{Name: "second", Address: taken.Addr().String()})
	_, err = inbound.New(h.options)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"second"`, taken.Addr().String(), "address already in use"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
}

// TestNewClosesFiles: a server that could not be made holds nothing.
func TestNewClosesFiles(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	h := withUsers(t, inbound.AuthRequired)
	h.receive()
	working := h.options
	if server, err := inbound.New(working); err != nil || !isOpen(t, h.options.Users.File) {
		t.Fatalf("the users file is not held open while it is watched, which the test relies on: %v", err)
	} else if err := server.Close(); err != nil || isOpen(t, h.options.Users.File) {
		t.Errorf("a server that was not run leaves the users file open: %v", err)
	}
	h.options.Listeners = append(h.options.Listeners, inbound.Listener{Name: "second", Address: taken.Addr().String()})
	if _, err := inbound.New(h.options); err == nil {
		t.Fatal("no error")
	}
	if isOpen(t, h.options.Users.File) {
		t.Error("New leaves the users file open")
	}
}

// isOpen says whether one of the process's descriptors is of the file.
func isOpen(t *testing.T, path string) bool {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		return err == nil && target == path
	})
}
