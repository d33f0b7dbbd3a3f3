package policy

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postrider/relay"
)

// The bounds of a list file, and how often it is looked at.
const (
	maxList  = 64 << 20
	listLook = time.Second
)

// list is a file with an entry on each line, for the function inFile: a text, which matches in
// any case; "@example.com" for all addresses there; ".example.com" for all domains below;
// a network for addresses of hosts. What follows a # at the start of a line is a comment. The
// file is read again after it has changed, whole or not at all.
type list struct {
	name  string
	now   func() time.Time
	fault func(relay.Fault)
	// entries are those of the latest reading that went well.
	entries atomic.Pointer[entries]

	// looked is when the file was looked at last, in Unix nanoseconds.
	looked atomic.Int64
	mu     sync.Mutex
	// seen is what the file was when it was read, told the fault that was told last.
	seen os.FileInfo
	told string
}

type entries struct {
	texts    map[string]struct{}
	suffixes bool
	networks []netip.Prefix
}

// list finds or reads the list of a name.
func (p *Policy) list(name string) (*list, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(p.dir, name)
	}
	if l := p.lists[name]; l != nil {
		return l, nil
	}
	l := &list{name: name, now: p.now, fault: p.fault}
	if err := l.read(); err != nil {
		return nil, err
	}
	l.looked.Store(p.now().UnixNano())
	p.lists[name] = l
	return l, nil
}

// has says whether a value is in the list.
func (l *list) has(value string) bool {
	l.look()
	e := l.entries.Load()
	value = folded(strings.ToLower(value))
	if _, is := e.texts[value]; is {
		return true
	}
	if at := strings.LastIndexByte(value, '@'); at >= 0 {
		_, is := e.texts[value[at:]]
		return is
	}
	if len(e.networks) > 0 {
		if addr, err := netip.ParseAddr(value); err == nil {
			return contains(e.networks, addr.Unmap())
		}
	}
	for rest := value; e.suffixes; {
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			break
		}
		if _, is := e.texts[rest[dot:]]; is && len(rest[dot:]) < len(value) {
			return true
		}
		rest = rest[dot+1:]
	}
	return false
}

// look reads the file again if it has changed. One caller does, the others go on with what there is.
func (l *list) look() {
	now := l.now().UnixNano()
	last := l.looked.Load()
	if now-last < int64(listLook) || !l.looked.CompareAndSwap(last, now) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.readChanged()
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != l.told && err != nil {
		l.fault(relay.Fault{Doing: "read a list of rules again; the former one stays", Err: err})
	}
	l.told = text
}

// readChanged reads the file unless it is what it was.
func (l *list) readChanged() error {
	info, err := os.Stat(l.name)
	if err != nil {
		return err
	}
	if os.SameFile(info, l.seen) && info.Size() == l.seen.Size() && info.ModTime().Equal(l.seen.ModTime()) {
		return nil
	}
	return l.read()
}

// read reads the whole file.
func (l *list) read() error {
	info, err := os.Stat(l.name)
	if err != nil {
		return err
	}
	if info.Size() > maxList || !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file of at most %d bytes", l.name, maxList)
	}
	text, err := os.ReadFile(l.name)
	if err != nil {
		return err
	}
	e, err := parseList(text)
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	l.entries.Store(e)
	l.seen = info
	return nil
}

// parseList reads the entries of a list.
func parseList(text []byte) (*entries, error) {
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, errors.New("not a text")
	}
	e := &entries{texts: make(map[string]struct{})}
	for line := range strings.Lines(string(text)) {
		entry := folded(strings.ToLower(strings.TrimSpace(line)))
		if entry == "" || entry[0] == '#' {
			continue
		}
		if network, err := ParseNetwork(entry); err == nil {
			e.networks = append(e.networks, network.Masked())
		}
		e.suffixes = e.suffixes || entry[0] == '.'
		e.texts[entry] = struct{}{}
	}
	return e, nil
}
