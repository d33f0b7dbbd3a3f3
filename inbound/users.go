package inbound

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"postrider/relay"
)

// errCredentials says that the name or the password is wrong; it does not say which.
var errCredentials = errors.New("wrong user name or password")

// decoy is the hash of a password that nobody knows. It is compared with where the name is
// unknown, so that the time taken does not tell which names exist.
const decoy = "$2a$10$BZBVktk9bnr3mqzm0dmf3OP.W1RrceXK3Pe3DjeL.mD0wE91re83K"

// users is the users file, read again when it has changed.
type users struct {
	path string

	mu     sync.Mutex
	stamp  fileStamp
	byName map[string]user
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// user is a line of the users file.
type user struct {
	hash    []byte
	senders senders
}

// senders are the reverse-paths that a user may give: addresses and, as "@domain",
// domains. None means any.
type senders []string

// allow says whether the user may send as the address. The null reverse-path always may
// be used: a client that forwards bounces needs it (RFC 5321 section 6.1).
func (s senders) allow(a relay.Address) bool {
	if len(s) == 0 || a.IsNull() {
		return true
	}
	for _, allowed := range s {
		if strings.EqualFold(allowed, a.String()) || strings.EqualFold(allowed, "@"+a.Domain) {
			return true
		}
	}
	return false
}

// newUsers reads the file once, to find its faults early.
func newUsers(path string) (*users, error) {
	if path == "" {
		return nil, errors.New("users: a listener asks for AUTH, but there is no users file")
	}
	u := &users{path: path}
	_, err := u.load()
	return u, err
}

// check returns the senders that the user may use. The error is errCredentials, or that
// of a file which cannot be read now.
func (u *users) check(name, password string) (senders, error) {
	byName, err := u.load()
	if err != nil {
		return nil, err
	}
	found, known := byName[name]
	if !known {
		found.hash = []byte(decoy)
	}
	if bcrypt.CompareHashAndPassword(found.hash, []byte(password)) != nil || !known {
		return nil, errCredentials
	}
	return found.senders, nil
}

// load returns the users as the file has them now. A map once returned is never changed.
func (u *users) load() (map[string]user, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f, err := os.Open(u.path)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	if stamp := (fileStamp{info.ModTime(), info.Size()}); u.byName == nil || stamp != u.stamp {
		byName, err := parseUsers(bufio.NewScanner(f))
		if err != nil {
			return nil, fmt.Errorf("users: %s: %w", u.path, err)
		}
		u.byName, u.stamp = byName, stamp
	}
	return u.byName, nil
}

// parseUsers reads lines "name:bcrypt[:allowed senders]"; blank lines and those that begin
// with # are skipped.
func parseUsers(lines *bufio.Scanner) (map[string]user, error) {
	byName := map[string]user{}
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, parsed, err := parseUser(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, twice := byName[name]; twice {
			return nil, fmt.Errorf("line %d: user %q was named before", n, name)
		}
		byName[name] = parsed
	}
	return byName, lines.Err()
}

func parseUser(line string) (name string, u user, err error) {
	name, rest, ok := strings.Cut(line, ":")
	if !ok || name == "" {
		return "", user{}, errors.New("want name:bcrypt[:allowed senders]")
	}
	hash, allowed, _ := strings.Cut(rest, ":")
	if _, err := bcrypt.Cost([]byte(hash)); err != nil {
		return "", user{}, fmt.Errorf("user %q: the password is not a bcrypt hash", name)
	}
	u.hash = []byte(hash)
	for sender := range strings.SplitSeq(allowed, ",") {
		sender = strings.TrimSpace(sender)
		if sender == "" {
			continue
		}
		if err := checkSender(sender); err != nil {
			return "", user{}, fmt.Errorf("user %q: %w", name, err)
		}
		u.senders = append(u.senders, sender)
	}
	return name, u, nil
}

// checkSender accepts an address or "@domain".
func checkSender(sender string) error {
	if sender[0] == '@' {
		sender = "any" + sender
	}
	_, err := relay.ParseAddress(sender)
	return err
}
