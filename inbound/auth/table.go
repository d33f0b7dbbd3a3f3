package auth

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds a line of a users file, in bytes.
const maxLine = 64 << 10

// Entry is a user in a users file.
type Entry struct {
	Identity
	Secret Secret
}

// String gives the entry as a line of the file.
func (e *Entry) String() string {
	line := e.User + ":" + e.Secret.String()
	options := []string(e.Senders)
	if !e.Rate.IsZero() {
		options = append(options, "rate="+e.Rate.String())
	}
	if !e.Quota.IsZero() {
		options = append(options, "quota="+e.Quota.String())
	}
	if len(options) > 0 {
		line += ":" + strings.Join(options, ",")
	}
	return line
}

// table is what a users file says. It never changes.
type table struct {
	byName map[string]*Entry
	// entries are in the file's order, and scram are those of them with such a secret.
	entries, scram []*Entry
}

// parseTable reads lines "name:secret[:options]"; blank lines and those that begin with #
// are skipped.
func parseTable(r io.Reader) (*table, error) {
	t := &table{byName: map[string]*Entry{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if isComment(lines.Text()) {
			continue
		}
		e, err := parseEntry(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if t.byName[e.User] != nil {
			return nil, fmt.Errorf("line %d: user %q was named before", n, e.User)
		}
		t.byName[e.User] = e
		t.entries = append(t.entries, e)
		if e.Secret.Scheme() == SchemeSCRAM {
			t.scram = append(t.scram, e)
		}
	}
	return t, lines.Err()
}

func isComment(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || line[0] == '#'
}

func parseEntry(line string) (*Entry, error) {
	name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
	if !ok {
		return nil, errors.New("want name:secret[:options]")
	}
	if err := CheckName(name); err != nil {
		return nil, err
	}
	secret, options, err := parseSecret(rest)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	e := &Entry{Identity: Identity{User: name}, Secret: secret}
	for option := range strings.SplitSeq(options, ",") {
		if err := e.set(strings.TrimSpace(option)); err != nil {
			return nil, fmt.Errorf("user %q: %w", name, err)
		}
	}
	return e, nil
}

// CheckName accepts what can be the name of a user.
func CheckName(name string) error {
	bad := func(r rune) bool { return r == ':' || unicode.IsControl(r) }
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > 255 || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) || name[0] == '#' || strings.TrimSpace(name) != name:
		return fmt.Errorf("%q cannot be the name of a user", name)
	}
	return nil
}

// set takes an option: a sender, which has an "@", or else key=value.
func (e *Entry) set(option string) (err error) {
	if option == "" {
		return nil
	}
	if strings.Contains(option, "@") {
		e.Senders = append(e.Senders, option)
		return CheckSender(option)
	}
	switch key, value, _ := strings.Cut(option, "="); key {
	case "rate":
		e.Rate, err = ParseRate(value)
	case "quota":
		e.Quota, err = ParseQuota(value)
	default:
		err = fmt.Errorf("%q is not a sender, rate=1000/1h or quota=5000", option)
	}
	return err
}

// ParseQuota reads a rate; a number alone is one a day.
func ParseQuota(text string) (Rate, error) {
	if !strings.Contains(text, "/") {
		text += "/24h"
	}
	return ParseRate(text)
}
