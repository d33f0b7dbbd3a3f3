package configs

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"postrider/inbound"
)

// socket says who of this host may connect to a listener's Unix socket.
type socket struct {
	Mode  fileMode `yaml:"mode"`
	Group string   `yaml:"group"`
}

// fileMode is what chmod(1) takes as a number, such as 0660; 0 where there is none.
type fileMode fs.FileMode

// UnmarshalText reads an octal number, with or without the 0 or 0o in front.
func (m *fileMode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(string(text), "0o"), 8, 32)
	switch {
	case err != nil || n > uint64(fs.ModePerm):
		return fmt.Errorf("%q is not a mode such as 0660", text)
	case n&0o200 == 0:
		return fmt.Errorf("%q keeps the relay itself from its socket: want a mode such as 0660", text)
	}
	*m = fileMode(n)
	return nil
}

func (s socket) compose() inbound.Socket {
	return inbound.Socket{Mode: fs.FileMode(s.Mode), Group: s.Group}
}

func (s socket) check(r *report, path, address string) {
	file, isUnix := strings.CutPrefix(address, "unix:")
	switch {
	case s == socket{}:
	case !isUnix:
		r.fault(path, "is for a Unix socket, which %s is not", address)
	case strings.HasPrefix(file, "@"):
		r.fault(path, "%s is an abstract socket, which has neither mode nor group: anybody of this host may connect", address)
	case s.Group != "":
		if _, err := inbound.GroupID(s.Group); err != nil {
			r.fault(path+".group", "%s", err)
		}
	}
}
