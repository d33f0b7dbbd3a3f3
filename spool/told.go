package spool

import "sync"

// told are the files whose damage has been reported: each read of it would be another report.
type told struct {
	mu    sync.Mutex
	files map[string]bool
}

// maxTold bounds the files that are remembered.
const maxTold = 1000

// first says whether the file has not been told of.
func (t *told) first(file string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files[file] {
		return false
	}
	if t.files == nil || len(t.files) >= maxTold {
		t.files = make(map[string]bool)
	}
	t.files[file] = true
	return true
}
