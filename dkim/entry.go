package dkim

import (
	"cmp"
	"crypto/rsa"
	"slices"
	"time"
)

// Entry is a key as commands show it.
type Entry struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	Path     string `json:"path"`
	Kind     Kind   `json:"kind"`
	// Bits is the size of an RSA key.
	Bits  int   `json:"bits,omitempty"`
	State State `json:"state"`
	// Since is when the key came into the state; zero where that was not kept.
	Since  time.Time `json:"since,omitzero"`
	Record Record    `json:"-"`
}

// List gives all keys, those that do not sign too, by domain. The error joins a KeyError for
// every fault.
func List(o Options) ([]Entry, error) {
	set, err := load(&o)
	if err != nil {
		return nil, err
	}
	all := make([]Entry, 0, len(set.all))
	for _, k := range set.all {
		all = append(all, newEntry(k))
	}
	slices.SortStableFunc(all, func(a, b Entry) int { return cmp.Compare(a.Domain, b.Domain) })
	return all, nil
}

func newEntry(k *key) Entry {
	e := Entry{
		Domain: k.domain, Selector: k.selector, Path: k.path, Kind: k.kind(),
		State: k.state, Since: k.since, Record: newRecord(k.name(), k.private),
	}
	if private, ok := k.private.(*rsa.PrivateKey); ok {
		e.Bits = private.N.BitLen()
	}
	return e
}
