package auth

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Users are the lines of a users file, comments included, for changing them.
type Users struct {
	lines []line
}

type line struct {
	text  string
	entry *Entry // nil for a comment
}

// ReadUsers reads a users file.
func ReadUsers(path string) (*Users, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := parseTable(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	u := &Users{}
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, maxLine)
	for scanner.Scan() {
		l := line{text: scanner.Text()}
		if !isComment(l.text) {
			if l.entry, err = parseEntry(l.text); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		u.lines = append(u.lines, l)
	}
	return u, scanner.Err()
}

// EditUsers changes a users file, or makes one. Other editors wait meanwhile, and readers see
// the file as it was or as it will be. An error of change leaves the file alone.
func EditUsers(path string, change func(*Users) error) error {
	// A link stays one, and its target is written.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close() // which unlocks it
	// The directory is locked, as the file itself is about to be another one.
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	users, err := ReadUsers(path)
	if errors.Is(err, fs.ErrNotExist) {
		users, err = &Users{}, nil
	}
	if err != nil {
		return err
	}
	if err := change(users); err != nil {
		return err
	}
	if err := users.write(path); err != nil {
		return err
	}
	return dir.Sync()
}

// write puts a new file in the place of the old one, with its owner and mode.
func (u *Users) write(path string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	defer f.Close()
	if err := copyOwner(f, path); err != nil {
		return err
	}
	for _, l := range u.lines {
		if _, err := f.WriteString(l.text + "\n"); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// copyOwner gives the new file what the old one has; a first one is for its owner alone.
func copyOwner(f *os.File, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("keep the owner of %s: %w", path, err)
		}
	}
	return f.Chmod(info.Mode().Perm())
}

// Entries returns the users in the file's order.
func (u *Users) Entries() []*Entry {
	var found []*Entry
	for _, l := range u.lines {
		if l.entry != nil {
			found = append(found, l.entry)
		}
	}
	return found
}

// Find returns a user, nil where there is no such one.
func (u *Users) Find(name string) *Entry {
	if i := u.index(name); i >= 0 {
		return u.lines[i].entry
	}
	return nil
}

func (u *Users) index(name string) int {
	return slices.IndexFunc(u.lines, func(l line) bool { return l.entry != nil && l.entry.User == name })
}

// Set puts a user in the place of the one with that name, or at the end.
func (u *Users) Set(e *Entry) error {
	text := e.String()
	if _, err := parseEntry(text); err != nil || strings.ContainsAny(text, "\r\n") {
		return errors.Join(fmt.Errorf("user %q cannot be written", e.User), err)
	}
	l := line{text, e}
	if i := u.index(e.User); i >= 0 {
		u.lines[i] = l
	} else {
		u.lines = append(u.lines, l)
	}
	return nil
}

// Remove takes a user out, and says whether there was one.
func (u *Users) Remove(name string) bool {
	i := u.index(name)
	if i >= 0 {
		u.lines = slices.Delete(u.lines, i, i+1)
	}
	return i >= 0
}
