package transcript

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// create makes a record under an ID that is free: the time that it begins, and a number if need be.
func (b *Book) create(info Info, client netip.Prefix) (*record, error) {
	at := info.Begun.UTC().Format("20060102-150405")
	for n := range 1000 {
		info.ID = at
		if n > 0 {
			info.ID = fmt.Sprintf("%s-%d", at, n)
		}
		r, err := begin(b.path(info.ID), info, client)
		if !errors.Is(err, fs.ErrExist) {
			return r, err
		}
	}
	return nil, fmt.Errorf("too many of the same second: %w", fs.ErrExist)
}

// list reads the directory; mu is held. Files that are not ours are left out.
func (b *Book) list() ([]Info, error) {
	entries, err := os.ReadDir(b.o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Info
	for _, e := range entries {
		id, ok := idOf(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		if r := b.records[id]; r != nil {
			info, _ := r.state()
			all = append(all, info)
		} else if info, ok := b.former(id); ok {
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b Info) int {
		return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// headMost bounds the first line of a file.
const headMost = 64 << 10

// former is a transcript of an earlier run: its first line says what was ordered.
func (b *Book) former(id string) (Info, bool) {
	f, err := os.Open(b.path(id))
	if err != nil {
		return Info{}, false
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return Info{}, false
	}
	info, ok := parseHead(bufio.NewReaderSize(f, headMost))
	info.ID, info.Bytes, info.Ended, info.Why = id, stat.Size(), stat.ModTime(), errStop.Error()
	return info, ok
}

// parseHead reads the first line of a file.
func parseHead(r *bufio.Reader) (info Info, ok bool) {
	line, err := r.ReadSlice('\n')
	text, ours := strings.CutPrefix(string(line), headMark)
	ok = err == nil && ours && json.Unmarshal([]byte(text), &info) == nil
	return info, ok
}

// makeRoom removes the oldest transcripts that have ended, where there are too many; mu is held.
func (b *Book) makeRoom() error {
	all, err := b.list()
	if err != nil {
		return err
	}
	total := int64(0)
	for _, info := range all {
		total += info.Bytes
	}
	left := len(all)
	for _, info := range all {
		if left < b.o.Kept && total <= b.o.Total {
			break
		}
		if info.Ended.IsZero() {
			continue
		}
		if err := os.Remove(b.path(info.ID)); err != nil {
			return err
		}
		delete(b.records, info.ID)
		left, total = left-1, total-info.Bytes
	}
	return nil
}
