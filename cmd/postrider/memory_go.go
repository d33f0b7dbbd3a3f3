//go:build !cgo

package main

import (
	"os"
	"runtime/debug"
)

// collectAt is by how many percent of what is in use the heap grows before garbage is collected.
const collectAt = 30

// Without cgo the spool's database has its memtables and its cache on the heap. They are most of it, hold no pointers
// and cost a collection nothing, so that it can come sooner. An operator's GOGC is left alone.
func init() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}
