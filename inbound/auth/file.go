package auth

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/xdg-go/scram"

	"postrider/relay"
)

// settleTime is how long a file that was written in place must have been left alone before
// it is read: editors write in pieces, and half a file has half the users. The same goes for
// one that comes where there was none. A file that was put in the place of another one is
// whole, and is read at once.
const settleTime = time.Second

// file is the backend of a users file. It is read again when it has changed; as long as it
// cannot be read, what it said before holds.
type file struct {
	path  string
	fault func(relay.Fault)
	now   func() time.Time
	// last says that no other backend is asked about users who are not in the file.
	last bool
	// key makes what unknown users are shown. It is new at each start.
	key []byte

	mu sync.Mutex
	t  *table
	// held is the file that the table, or the fault, is from, and info its description. It stays
	// open so that a file in its place cannot be taken for it.
	held *os.File
	info os.FileInfo
	// missing says that there was no file at the last look.
	missing bool
	// complaint is the fault that was reported, "" when all is well.
	complaint string
}

// openFile reads the file once, to find its faults early.
func openFile(path string, o *Options) (*file, error) {
	f := &file{path: path, fault: o.Fault, now: o.Now, key: newSalt()}
	return f, f.read()
}

// read takes in what the file says; on an error it is as if it had not been read.
func (f *file) read() error {
	opened, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	f.held.Close() // nil the first time, which is well
	f.held, f.missing = opened, false
	if f.info, err = opened.Stat(); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	t, err := parseTable(opened)
	if err != nil {
		return fmt.Errorf("users: %s: %w", f.path, err)
	}
	f.t = t
	return nil
}

// Close closes the file.
func (f *file) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held.Close() // it was only read
	f.held, f.info = nil, nil
	return nil
}

// table returns what the file says now, or said when it last made sense.
func (f *file) table() *table {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		f.complain(fmt.Errorf("users: %w", err))
		f.missing, f.info = true, nil
		return f.t
	}
	if f.isKnown(info) || f.isBeingWritten(info) {
		return f.t
	}
	if err := f.read(); err != nil {
		f.complain(err)
		return f.t
	}
	f.complaint = ""
	return f.t
}

func (f *file) isKnown(info os.FileInfo) bool {
	return f.info != nil && os.SameFile(f.info, info) && f.info.ModTime().Equal(info.ModTime()) && f.info.Size() == info.Size()
}

// isBeingWritten says whether the file may have been begun, or opened and cut short, just now.
func (f *file) isBeingWritten(info os.FileInfo) bool {
	age := f.now().Sub(info.ModTime())
	inPlace := f.missing || f.info != nil && os.SameFile(f.info, info)
	return inPlace && age >= 0 && age < settleTime
}

// complain reports a fault once.
func (f *file) complain(err error) {
	if f.complaint == err.Error() {
		return
	}
	f.complaint = err.Error()
	f.fault(relay.Fault{Doing: "read the users file; what it said before holds", Err: err})
}

// Authenticate implements Backend.
func (f *file) Authenticate(_ context.Context, a Attempt) (*Identity, error) {
	t := f.table()
	if e := t.byName[a.User]; e != nil {
		if !e.Secret.Verify(a.Password) {
			return nil, ErrCredentials
		}
		id := e.Identity
		return &id, nil
	}
	if !f.last {
		return nil, ErrUnknown
	}
	// The time taken must not tell which names exist, so somebody's secret is tried.
	if double := f.double(t.entries, a.User); double != nil {
		double.Secret.Verify(a.Password)
	}
	return nil, ErrCredentials
}

// double picks the entry that a name which does not exist looks like: always the same one,
// and all of them in turn for many names.
func (f *file) double(entries []*Entry, name string) *Entry {
	if len(entries) == 0 {
		return nil
	}
	n := binary.BigEndian.Uint64(sum(f.key, "double "+name))
	return entries[n%uint64(len(entries))]
}

// hasSCRAM says whether any and whether all users can use SCRAM.
func (t *table) hasSCRAM() (some, all bool) {
	n := len(t.scram)
	return n > 0, n > 0 && n == len(t.entries)
}

// scram returns what an exchange needs. For a user who has no SCRAM secret that is a decoy,
// which no password fits, and no identity.
func (f *file) scram(name string) (scram.StoredCredentials, *Identity) {
	t := f.table()
	if e := t.byName[name]; e != nil {
		if secret, ok := e.Secret.(*scramSecret); ok {
			id := e.Identity
			return secret.credentials(), &id
		}
	}
	like := &scramSecret{iterations: scramIterations, salt: make([]byte, 16)}
	if double := f.double(t.scram, name); double != nil {
		like = double.Secret.(*scramSecret)
	}
	return like.decoy(f.key, name), nil
}
