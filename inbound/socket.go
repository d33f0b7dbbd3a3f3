package inbound

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// The modes of a Unix socket that was given none.
const (
	ownersMode fs.FileMode = 0o600
	groupsMode fs.FileMode = 0o660
)

// Socket says who of this host may connect to a listener's Unix socket: who may write to it
// (unix(7)). The zero Socket is its owner's alone, whatever the umask.
type Socket struct {
	// Mode has permission bits only, the owner's right to write among them. 0600 by default, and
	// 0660 with a Group.
	Mode fs.FileMode
	// Group is a name or a number; "" leaves the group that the socket is made with.
	Group string
}

func (o Socket) mode() fs.FileMode {
	if o.Group != "" {
		return cmp.Or(o.Mode, groupsMode)
	}
	return cmp.Or(o.Mode, ownersMode)
}

// validate looks at what is asked for the socket of an address.
func (o Socket) validate(network, address string) error {
	switch {
	case o == Socket{}:
		return nil
	case network != "unix":
		return errors.New("socket: mode and group are for a Unix socket")
	case isAbstract(address):
		return errors.New("socket: an abstract socket has neither mode nor group")
	}
	var faults []error
	if o.Mode&^fs.ModePerm != 0 || o.mode()&0o200 == 0 {
		faults = append(faults, fmt.Errorf("socket: mode %#o: must be from 0200 to 0777, with the owner's right to write", uint32(o.Mode)))
	}
	if o.Group != "" {
		if _, err := GroupID(o.Group); err != nil {
			faults = append(faults, fmt.Errorf("socket: %w", err))
		}
	}
	return errors.Join(faults...)
}

// isAbstract says that a Unix socket has no file.
func isAbstract(address string) bool { return strings.HasPrefix(address, "@") }

// GroupID is the number of a group of this host, by its name or number.
func GroupID(text string) (int, error) {
	// 2^32-1 would mean no change to chown(2), and a number need have no name.
	if n, err := strconv.ParseUint(text, 10, 32); err == nil && n != 1<<32-1 {
		return int(n), nil
	}
	g, err := user.LookupGroup(text)
	if errors.As(err, new(user.UnknownGroupError)) {
		return 0, fmt.Errorf("%q is no group of this host", text)
	}
	if err != nil {
		return 0, fmt.Errorf("look for group %q: %w", text, err)
	}
	return strconv.Atoi(g.Gid)
}

// access is who may connect to a Unix socket.
type access struct {
	mode  fs.FileMode
	group int
}

// socketFile is the file of a Unix socket that we bound. Those that a service manager made have its
// mode and group.
type socketFile struct {
	path string
	made fs.FileInfo
}

// openSocket lets in who may connect to a socket that was bound just now, which is its owner's alone
// up to here. It is nil for what has no file.
func openSocket(l Listener) (*socketFile, error) {
	network, path := l.network()
	if network != "unix" || isAbstract(path) {
		return nil, nil
	}
	made, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	f := &socketFile{path: path, made: made}
	to, err := f.access(l.Socket)
	if err == nil {
		_, err = f.set(to)
	}
	return f, err
}

// access is what the options come to.
func (f *socketFile) access(o Socket) (access, error) {
	a := access{mode: o.mode(), group: groupOf(f.made)}
	var err error
	if o.Group != "" {
		a.group, err = GroupID(o.Group)
	}
	return a, err
}

func groupOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Gid) }

// set changes who may connect, and gives who might before. At no moment may anybody who may neither
// before nor after, and where the relay may not give the socket away all is as it was.
func (f *socketFile) set(to access) (was access, err error) {
	info, err := os.Lstat(f.path)
	if err != nil {
		return was, err
	}
	if !os.SameFile(info, f.made) {
		return was, fmt.Errorf("%s is another file than was made there", f.path)
	}
	was = access{info.Mode().Perm(), groupOf(info)}
	if was.group != to.group {
		if err := os.Chmod(f.path, was.mode&to.mode&^0o070); err != nil {
			return was, err
		}
		if err := os.Lchown(f.path, -1, to.group); err != nil {
			return was, errors.Join(fmt.Errorf("give it to group %d, which the relay must be in: %w", to.group, err), os.Chmod(f.path, was.mode))
		}
	}
	return was, os.Chmod(f.path, to.mode)
}

// ownersOnly makes the socket that is about to be bound its owner's alone, for Linux gives the file
// the mode of the socket, less the umask: nobody else can connect before they may.
func ownersOnly(network, _ string, raw syscall.RawConn) error {
	if network != "unix" {
		return nil
	}
	var err error
	control := raw.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), uint32(ownersMode)) })
	return errors.Join(control, err)
}
