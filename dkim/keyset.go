package dkim

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The words of Key.Match.
const (
	matchFrom     = "from"
	matchSender   = "sender"
	matchEnvelope = "envelope"
)

// keyset is all keys as their files have them, by what chooses them. It never changes.
type keyset struct {
	// all has the keys that do not sign, too.
	all []*key
	// named are the keys that sign, by domain and by their names in DNS.
	named map[string][]*key
	users map[string][]*key
	// exact and below are the keys that a domain chooses, and a domain below it, by the field
	// that says the domain.
	exact, below map[string]map[string][]*key
	// matches are the words of Match in use, in the order of their rank.
	matches []string
}

// load reads all keys. The error joins a KeyError for every fault.
func load(o *Options) (*keyset, error) {
	s := &keyset{
		named: make(map[string][]*key), users: make(map[string][]*key),
		exact: make(map[string]map[string][]*key), below: make(map[string]map[string][]*key),
	}
	var errs []error
	for i := range o.Keys {
		for _, f := range s.add(&o.Keys[i]) {
			errs = append(errs, &KeyError{Index: i, Field: f.field, Err: f.err})
		}
	}
	for _, m := range []string{matchFrom, matchSender, matchEnvelope} {
		if len(s.exact[m])+len(s.below[m]) > 0 {
			s.matches = append(s.matches, m)
		}
	}
	return s, errors.Join(errs...)
}

// add reads what one Key stands for.
func (s *keyset) add(k *Key) []fault {
	made, faults := k.template()
	var keys []key
	var more []fault
	if k.Directory != "" {
		keys, more = k.loadDirectory(made)
	} else {
		var one key
		if one, more = k.load(made); len(more) == 0 {
			keys = []key{one}
		}
	}
	faults = append(faults, more...)
	for i := range keys {
		if slices.ContainsFunc(s.all, func(other *key) bool { return other.name() == keys[i].name() }) {
			faults = append(faults, fault{"selector", fmt.Errorf("%s has the selector %q twice", keys[i].domain, keys[i].selector)})
			continue
		}
		s.all = append(s.all, &keys[i])
		if keys[i].state == Active {
			s.index(k, &keys[i])
		}
	}
	return faults
}

// index makes a key that signs to be found.
func (s *keyset) index(k *Key, loaded *key) {
	s.named[loaded.domain] = append(s.named[loaded.domain], loaded)
	s.named[loaded.name()] = append(s.named[loaded.name()], loaded)
	for _, user := range k.Users {
		s.users[user] = append(s.users[user], loaded)
	}
	if len(k.Users) > 0 {
		return
	}
	matches := k.Match
	if len(matches) == 0 {
		matches = []string{matchFrom}
	}
	for _, m := range matches {
		put(s.exact, m, loaded)
		if !k.Exact {
			put(s.below, m, loaded)
		}
	}
}

func put(index map[string]map[string][]*key, match string, k *key) {
	if index[match] == nil {
		index[match] = make(map[string][]*key)
	}
	index[match][k.domain] = append(index[match][k.domain], k)
}

// find gives the keys of a domain, or of the nearest one above it that has any.
func (s *keyset) find(match, domain string) []*key {
	if keys := s.exact[match][domain]; len(keys) > 0 {
		return keys
	}
	for {
		_, above, ok := strings.Cut(domain, ".")
		if !ok {
			return nil
		}
		if keys := s.below[match][above]; len(keys) > 0 {
			return keys
		}
		domain = above
	}
}

// ErrNoKey is why a message is not signed as a rule wants it.
var ErrNoKey error = &unsignable{"key", "no such key"}

// choose finds the keys for a message: those that a rule names, else the user's, else
// those of the domains that the message says, From first.
func (s *keyset) choose(m *Message, h header) ([]*key, error) {
	if len(m.With) > 0 {
		return s.chosen(m.With)
	}
	if keys := s.users[m.User]; m.User != "" && len(keys) > 0 {
		return keys, nil
	}
	domain, authors, err := h.author()
	if err != nil {
		return nil, err
	}
	for _, match := range s.matches {
		var keys []*key
		switch match {
		case matchFrom:
			keys = s.find(match, domain)
		case matchSender:
			keys = s.find(match, h.sender())
		case matchEnvelope:
			keys = s.find(match, strings.ToLower(m.Sender))
		}
		if len(keys) > 0 {
			return keys, nil
		}
	}
	if len(authors) > 1 && slices.ContainsFunc(authors, func(d string) bool { return len(s.find(matchFrom, d)) > 0 }) {
		return nil, fmt.Errorf("%w: From names several domains: %s", ErrHeader, strings.Join(authors, ", "))
	}
	return nil, nil
}

// sender gives the domain of the Sender field, "" without one that can be read.
func (h header) sender() string {
	if h.count("sender") != 1 {
		return ""
	}
	domains, err := h.domains("sender")
	if err != nil || len(domains) != 1 {
		return ""
	}
	return domains[0]
}

// chosen gives the keys of the names that a rule has.
func (s *keyset) chosen(with []string) ([]*key, error) {
	if isNone(with) {
		return nil, nil
	}
	var keys []*key
	for _, name := range with {
		found := s.named[strings.ToLower(name)]
		if len(found) == 0 {
			return nil, fmt.Errorf("%w: %q", ErrNoKey, name)
		}
		for _, k := range found {
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	return keys, nil
}

// stamp tells one state of a file from another.
type stamp struct {
	path     string
	modified time.Time
	size     int64
}

// stamps looks at all files that keys are read from. One that is not there has no stamp.
func (o *Options) stamps() []stamp {
	var all []stamp
	look := func(path string) {
		if info, err := os.Stat(path); err == nil {
			all = append(all, stamp{path, info.ModTime(), info.Size()})
		}
	}
	for _, k := range o.Keys {
		if k.Directory == "" {
			look(k.Path)
			continue
		}
		look(k.Directory)
		files, err := listDirectory(k.Directory)
		if err != nil {
			all = append(all, stamp{path: err.Error()})
		}
		folders := make(map[string]bool)
		for _, file := range files {
			look(file.path)
			folders[file.domain] = true
		}
		for _, name := range slices.Sorted(maps.Keys(folders)) {
			look(filepath.Join(k.Directory, name, statesFile))
		}
	}
	return all
}
