package dkim

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Rotation replaces the keys of a domain in a Directory step by step: new keys are made and
// wait for their records to be seen in DNS; then they sign, and the old ones, retired, are
// kept until all mail that they have signed must have arrived; then they are removed.
type Rotation struct {
	// Directory and Domain say whose keys are meant.
	Directory, Domain string
	Lookup            LookupTXT
	Now               time.Time
	// Begin says that new keys are to be made where no rotation is under way.
	Begin bool
	// Age is how old an active key must be for that.
	Age time.Duration
	// Activate does not wait for DNS.
	Activate bool
	// Overlap is how long retired keys are kept.
	Overlap time.Duration
	// DryRun only says what would be done.
	DryRun bool
}

// Step is what a rotation did, or waits for.
type Step struct {
	// Done is "created", "activated", "retired" or "removed"; "waits" has done nothing.
	Done     string `json:"done"`
	Selector string `json:"selector"`
	Domain   string `json:"domain"`
	// Why says what is waited for.
	Why string `json:"why,omitempty"`
	// Record is that of the key, where it can still be read.
	Record Record `json:"-"`
}

// AddKey puts a new key into the Directory as Pending, or Active. Without a selector it gets
// one of its kind and the day.
func (r *Rotation) AddKey(kind Kind, bits int, selector string) (Step, error) {
	var step Step
	err := r.locked(func(folder string) error {
		states, err := readStates(folder)
		if err != nil {
			return err
		}
		step, err = r.create(states, kind, bits, selector)
		return err
	})
	return step, err
}

// Advance does what can be done now. It may be run at any time and as often as one likes.
func (r *Rotation) Advance(ctx context.Context) (steps []Step, err error) {
	if !IsName(r.Domain) {
		return nil, fmt.Errorf("%q is not a domain name in lower case ASCII", r.Domain)
	}
	if _, err := os.Stat(filepath.Join(r.Directory, r.Domain)); err != nil {
		return nil, fmt.Errorf("%s has no keys: %w", r.Domain, err)
	}
	err = r.locked(func(string) error {
		steps, err = r.advance(ctx)
		return err
	})
	return steps, err
}

func (r *Rotation) advance(ctx context.Context) ([]Step, error) {
	keys, err := r.keys()
	if err != nil {
		return nil, err
	}
	states := make(map[string]Stage, len(keys))
	count := make(map[State]int)
	for _, k := range keys {
		states[k.selector] = Stage{k.state, k.since}
		count[k.state]++
	}
	switch {
	case count[Pending] > 0:
		return r.promote(ctx, keys, states)
	case count[Retired] > 0:
		return r.remove(keys, states)
	case r.Begin:
		return r.begin(keys, states)
	}
	return nil, nil
}

// promote lets the pending keys sign that verifiers can find.
func (r *Rotation) promote(ctx context.Context, keys []key, states map[string]Stage) (steps []Step, err error) {
	for i := range keys {
		k := &keys[i]
		if k.state != Pending {
			continue
		}
		record := newRecord(k.name(), k.private)
		if !r.Activate {
			if _, err := record.Check(ctx, r.Lookup); err != nil {
				steps = append(steps, r.step("waits", k.selector, err.Error(), record))
				continue
			}
		}
		states[k.selector] = Stage{Active, r.Now}
		steps = append(steps, r.step("activated", k.selector, "", record))
		for j := range keys {
			old := &keys[j]
			if old.state == Active && old.kind() == k.kind() && states[old.selector].State == Active {
				states[old.selector] = Stage{Retired, r.Now}
				steps = append(steps, r.step("retired", old.selector, "", newRecord(old.name(), old.private)))
			}
		}
	}
	return steps, r.save(states)
}

// remove takes retired keys away whose time is over.
func (r *Rotation) remove(keys []key, states map[string]Stage) (steps []Step, err error) {
	for i := range keys {
		k := &keys[i]
		if k.state != Retired {
			continue
		}
		if end := k.since.Add(r.Overlap); r.Now.Before(end) {
			why := "retired; its record is needed until " + end.UTC().Format(time.DateOnly)
			steps = append(steps, r.step("waits", k.selector, why, Record{}))
			continue
		}
		// The file first: without a word about it in the states it would sign again.
		if !r.DryRun {
			if err := os.Remove(k.path); err != nil {
				return steps, err
			}
		}
		delete(states, k.selector)
		steps = append(steps, r.step("removed", k.selector, "", newRecord(k.name(), k.private)))
	}
	return steps, r.save(states)
}

// begin makes a new key of each kind that is old enough.
func (r *Rotation) begin(keys []key, states map[string]Stage) (steps []Step, err error) {
	made := make(map[Kind]bool)
	for i := range keys {
		k := &keys[i]
		if made[k.kind()] || r.Now.Before(k.since.Add(r.Age)) {
			continue
		}
		made[k.kind()] = true
		bits := 0
		if private, ok := k.private.(*rsa.PrivateKey); ok {
			bits = max(private.N.BitLen(), DefaultBits)
		}
		step, err := r.create(states, k.kind(), bits, "")
		if err != nil {
			return steps, err
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// create makes one key. Its state is known before the file is there, so that it never signs
// too early.
func (r *Rotation) create(states map[string]Stage, kind Kind, bits int, selector string) (Step, error) {
	folder := filepath.Join(r.Directory, r.Domain)
	if selector == "" {
		selector = r.freeSelector(folder, kind)
	}
	if !IsName(selector) {
		return Step{}, fmt.Errorf("%q is not a selector in lower case", selector)
	}
	path := filepath.Join(folder, selector+".pem")
	if _, err := os.Stat(path); err == nil {
		return Step{}, fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	private, err := Generate(kind, bits)
	if err != nil {
		return Step{}, err
	}
	done, why, stage := "created", "publish its record", Stage{Pending, r.Now}
	if r.Activate {
		stage.State, why = Active, ""
	}
	if states == nil {
		states = make(map[string]Stage)
	}
	states[selector] = stage
	if err := r.save(states); err != nil {
		return Step{}, err
	}
	if !r.DryRun {
		if err := WriteKey(path, private); err != nil {
			return Step{}, err
		}
	}
	return r.step(done, selector, why, newRecord(selector+"._domainkey."+r.Domain, private)), nil
}

// freeSelector names a key after its kind and the day.
func (r *Rotation) freeSelector(folder string, kind Kind) string {
	name := map[Kind]string{KindRSA: "rsa", KindEd25519: "ed"}[kind] + r.Now.UTC().Format("20060102")
	for n := 1; ; n++ {
		selector := name
		if n > 1 {
			selector += fmt.Sprintf("-%d", n)
		}
		if _, err := os.Stat(filepath.Join(folder, selector+".pem")); err != nil {
			return selector
		}
	}
}

func (r *Rotation) step(done, selector, why string, record Record) Step {
	return Step{Done: done, Selector: selector, Domain: r.Domain, Why: why, Record: record}
}

// keys reads the keys of the domain.
func (r *Rotation) keys() ([]key, error) {
	files, err := listFolder(filepath.Join(r.Directory, r.Domain), r.Domain)
	if err != nil {
		return nil, err
	}
	keys := make([]key, 0, len(files))
	for _, file := range files {
		private, err := ReadKey(file.path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key{domain: file.domain, selector: file.selector, path: file.path, private: private, state: file.State, since: file.Since})
	}
	slices.SortStableFunc(keys, func(a, b key) int { return a.since.Compare(b.since) })
	return keys, nil
}

// save replaces the states in one piece.
func (r *Rotation) save(states map[string]Stage) error {
	if r.DryRun {
		return nil
	}
	text, err := json.MarshalIndent(states, "", "\t")
	if err != nil {
		return err
	}
	folder := filepath.Join(r.Directory, r.Domain)
	f, err := os.CreateTemp(folder, ".states-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close(), inherit(f.Name()))
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, statesFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(folder)
}

// locked keeps others of our kind out of the domain's folder, which it makes.
func (r *Rotation) locked(do func(folder string) error) error {
	if !IsName(r.Domain) {
		return fmt.Errorf("%q is not a domain name in lower case ASCII", r.Domain)
	}
	folder := filepath.Join(r.Directory, r.Domain)
	if r.DryRun {
		return do(folder)
	}
	if err := makeFolder(folder); err != nil {
		return err
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", folder, err)
	}
	return do(folder)
}
