package inbound_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"postrider/inbound"
)

// Users and groups that need no name.
const (
	stranger = 64001
	group    = 64002
	another  = 64003
)

// socketPath is where everybody of this host can come.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "smtp")
}

// atSocket has the house listen at a Unix socket.
func atSocket(t *testing.T, socket inbound.Socket) (*house, string) {
	t.Helper()
	h, path := newHouse(t), socketPath(t)
	h.options.Listeners[0].Address, h.options.Listeners[0].Socket = "unix:"+path, socket
	return h, path
}

// checkSocket wants a socket to have the mode and, unless it is negative, the group.
func checkSocket(t *testing.T, path string, mode fs.FileMode, gid int) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != fs.ModeSocket|mode {
		t.Errorf("the socket's mode is %v, want %v", got, fs.ModeSocket|mode)
	}
	if got := int(info.Sys().(*syscall.Stat_t).Gid); gid >= 0 && got != gid {
		t.Errorf("the socket's group is %d, want %d", got, gid)
	}
}

// asRoot skips a test that gives things to others.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can give things to others, and be another user")
	}
}

// as does something on a thread of another user, which ends with it: the kernel knows users by thread.
func as(t *testing.T, uid, gid int, do func() error) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		defer close(ended)     // also where do ends the test
		runtime.LockOSThread() // for good
		_, _, a := syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0)
		_, _, b := syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid))
		_, _, c := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
		if a|b|c != 0 {
			ended <- fmt.Errorf("become user %d: %v, %v, %v", uid, a, b, c)
			return
		}
		ended <- do()
	}()
	return <-ended
}

// mail sends a message by the socket.
func mail(t *testing.T, path string) error {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := newClient(t, conn)
	c.codes("220")
	c.send("EHLO client.example\r\n")
	c.ehlo()
	c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
	c.codes("250", "250", "354")
	c.send("Subject: x\r\n\r\nx\r\n.\r\n")
	c.codes("250")
	return nil
}

// Whatever the umask, a socket is its owner's alone unless more was asked for.
func TestSocketMode(t *testing.T) {
	t.Parallel()
	own := strconv.Itoa(os.Getgid())
	for _, test := range []struct {
		socket inbound.Socket
		want   fs.FileMode
	}{
		{inbound.Socket{}, 0o600},
		{inbound.Socket{Mode: 0o666}, 0o666},
		{inbound.Socket{Mode: 0o777}, 0o777},
		{inbound.Socket{Group: own}, 0o660},
		{inbound.Socket{Group: own, Mode: 0o600}, 0o600},
	} {
		h, path := atSocket(t, test.socket)
		h.open().run()
		checkSocket(t, path, test.want, os.Getgid())
		if err := mail(t, path); err != nil {
			t.Error(err)
		}
	}
}

// Between bind and listen, and up to the end, a socket is never open to more than was asked.
func TestSocketIsBoundNarrow(t *testing.T) {
	path := socketPath(t)
	defer syscall.Umask(syscall.Umask(0)) // a test beside us may make a file that is wider: not parallel
	l, err := inbound.Bind("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	checkSocket(t, path, 0o600, -1)
}

// Who is in the group can send mail; who is not cannot, and who is another user altogether.
func TestSocketGroup(t *testing.T) {
	t.Parallel()
	asRoot(t)
	h, path := atSocket(t, inbound.Socket{Group: strconv.Itoa(group)})
	h.open().run()
	checkSocket(t, path, 0o660, group)
	if err := as(t, stranger, group, func() error { return mail(t, path) }); err != nil {
		t.Errorf("one of the group: %v", err)
	}
	if n := len(h.spool.all()); n != 1 {
		t.Errorf("%d messages came, want 1", n)
	}
	outsider := func() error { return mail(t, path) }
	if err := as(t, stranger, another, outsider); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("one of another group: %v, want that he may not", err)
	}
	h.change(func(o *inbound.Options) { o.Listeners[0].Socket.Mode = 0o666 })
	if err := as(t, stranger, another, outsider); err != nil {
		t.Errorf("with a mode for everybody: %v", err)
	}
}

// A socket takes another mode and group while sessions go on, and its own again without any.
func TestChangeOfASocket(t *testing.T) {
	t.Parallel()
	asRoot(t)
	h, path := atSocket(t, inbound.Socket{})
	h.open().run()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := newClient(t, conn)
	c.codes("220")
	own := os.Getgid()
	for _, test := range []struct {
		socket inbound.Socket
		mode   fs.FileMode
		gid    int
	}{
		{inbound.Socket{Group: strconv.Itoa(group)}, 0o660, group},
		{inbound.Socket{Group: strconv.Itoa(another), Mode: 0o620}, 0o620, another},
		{inbound.Socket{Mode: 0o666}, 0o666, own},
		{inbound.Socket{}, 0o600, own},
	} {
		h.change(func(o *inbound.Options) { o.Listeners[0].Socket = test.socket })
		checkSocket(t, path, test.mode, test.gid)
		c.talk("C: NOOP\nS: 250 2.0.0 Ok")
	}
	// What is to be as it was is let alone.
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	h.change(func(o *inbound.Options) { o.Listeners[0].Strict = true })
	checkSocket(t, path, 0o640, own)
}

// A Change that is given up, or that cannot be, leaves the sockets as they were.
func TestChangeOfASocketUndone(t *testing.T) {
	t.Parallel()
	h, path := atSocket(t, inbound.Socket{})
	second := socketPath(t)
	h.options.Listeners = append(h.options.Listeners, inbound.Listener{Name: "second", Address: "unix:" + second})
	h.open().run()
	o := h.options
	o.Listeners = append([]inbound.Listener(nil), o.Listeners...)
	o.Listeners[0].Socket.Mode = 0o666
	c, err := h.server.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	checkSocket(t, path, 0o666, -1)
	if err := c.Discard(); err != nil {
		t.Error(err)
	}
	checkSocket(t, path, 0o600, -1)

	// Another file has taken the place of the second socket: it is not ours.
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	write(t, second, "x")
	o.Listeners[1].Socket.Mode = 0o666
	if _, err := h.server.Prepare(o); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Errorf("with a file in the socket's place: %v", err)
	}
	checkSocket(t, path, 0o600, -1)
	if info, err := os.Lstat(second); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file is %v (%v) now", info, err)
	}
}

// A relay that may not give the socket away says so, and listens nowhere.
func TestSocketOfAGroupThatIsNotOurs(t *testing.T) {
	t.Parallel()
	asRoot(t)
	h, path := atSocket(t, inbound.Socket{Group: strconv.Itoa(group)})
	if err := os.Chown(filepath.Dir(path), stranger, another); err != nil {
		t.Fatal(err)
	}
	h.receive()
	err := as(t, stranger, another, func() error {
		s, err := inbound.New(h.options)
		if err == nil {
			s.Close()
		}
		return err
	})
	if err == nil || !strings.Contains(err.Error(), `listener "main"`) || !strings.Contains(err.Error(), "which the relay must be in") {
		t.Errorf("got %v, want who may give it away", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// What a service manager bound has the manager's mode and group.
func TestSocketOfTheManager(t *testing.T) {
	t.Parallel()
	h, path := atSocket(t, inbound.Socket{Mode: 0o666})
	bound, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	h.options.Bound = map[string]net.Listener{"main": bound}
	h.open().run()
	checkSocket(t, path, 0o640, -1)
	h.change(func(o *inbound.Options) { o.Listeners[0].Socket.Mode = 0o660 })
	checkSocket(t, path, 0o640, -1)
}

func TestSocketFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		address string
		socket  inbound.Socket
		want    string
	}{
		{":25", inbound.Socket{Mode: 0o660}, "for a Unix socket"},
		{":25", inbound.Socket{Group: "0"}, "for a Unix socket"},
		{"unix:@postrider", inbound.Socket{Mode: 0o660}, "abstract"},
		{"unix:/x", inbound.Socket{Mode: 0o440}, "mode 0440"},
		{"unix:/x", inbound.Socket{Mode: 0o1660}, "mode 01660"},
		{"unix:/x", inbound.Socket{Group: "no such group"}, `"no such group" is no group`},
		{"unix:/x", inbound.Socket{Group: "4294967295"}, `"4294967295" is no group`},
		{"unix:/x", inbound.Socket{Mode: 0o660, Group: "0"}, "<nil>"},
	} {
		o := inbound.Options{Hostname: "mx.example.com", Listeners: []inbound.Listener{{Name: "a", Address: test.address, Socket: test.socket}}}
		if err := o.Validate(); !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%s with %+v: got %v, want %q", test.address, test.socket, err, test.want)
		}
	}
}

// A socket without a file is bound as ever.
func TestAbstractSocket(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	name := fmt.Sprintf("@postrider-%d", os.Getpid())
	h.options.Listeners[0].Address = "unix:" + name
	h.open().run()
	if err := mail(t, name); err != nil {
		t.Error(err)
	}
}
