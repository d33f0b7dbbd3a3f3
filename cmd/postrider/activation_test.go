package main

import (
	"net"
	"os"
	"syscall"
	"testing"

	"postrider/inbound"
)

func TestSameAddress(t *testing.T) {
	t.Parallel()
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 25} }
	for _, tt := range []struct {
		configured string
		bound      net.Addr
		want       bool
	}{
		{":25", tcp("::"), true},
		{"0.0.0.0:25", tcp("::"), true},
		{"[::]:25", tcp("0.0.0.0"), true},
		{"127.0.0.1:25", tcp("127.0.0.1"), true},
		{"127.0.0.1:25", tcp("::"), false},
		{":25", tcp("127.0.0.1"), false},
		{":587", tcp("::"), false},
		{"127.0.0.1:0", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, false},
		{"unix:/run/smtp.sock", &net.UnixAddr{Name: "/run/smtp.sock", Net: "unix"}, true},
		{"unix:/run/smtp.sock", &net.UnixAddr{Name: "/run/other.sock", Net: "unix"}, false},
		{"unix:/run/smtp.sock", tcp("::"), false},
		{":25", &net.UnixAddr{Name: "/run/smtp.sock", Net: "unix"}, false},
	} {
		if got := sameAddress(tt.configured, tt.bound); got != tt.want {
			t.Errorf("%s at %s: %v, want %v", tt.configured, tt.bound, got, tt.want)
		}
	}
}

// A socket goes to the listener of its name or address, each to one, and one that nobody wants
// is an error: what is not served must not look as if it were.
func TestAdopt(t *testing.T) {
	t.Parallel()
	bound, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	at := bound.Addr().String()
	listeners := []inbound.Listener{{Name: "smtp", Address: ":25"}, {Name: "local", Address: at}}
	for _, tt := range []struct {
		name, socket string
		taken        map[string]net.Listener
		want         string
	}{
		{"by name", "smtp", map[string]net.Listener{"local": bound}, "smtp"},
		{"by address", "postrider.socket", nil, "local"},
		{"by address rather than name", "smtp", nil, "local"},
		{"nobody's", "postrider.socket", map[string]net.Listener{"local": bound}, ""},
		{"taken", "local", map[string]net.Listener{"local": bound}, ""},
	} {
		l, got, err := adopt(named(t, bound, tt.socket), listeners, tt.taken)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q (%v), want %q", tt.name, got, err, tt.want)
		}
		if l != nil {
			l.Close()
		}
	}
}

// named gives the socket as a file of a name.
func named(t *testing.T, bound net.Listener, name string) *os.File {
	t.Helper()
	file, err := bound.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), name)
}
