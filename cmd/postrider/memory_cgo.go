//go:build cgo

package main

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static void one_arena(void) {
#ifdef __GLIBC__
	mallopt(M_ARENA_MAX, 1);
#endif
}
*/
import "C"

// tuneMemory suits the process's memory to the spool. With cgo the spool's database has its memtables and its cache
// from malloc, and that of glibc keeps an arena for each thread, of which each holds on to the most that it ever had.
func tuneMemory() { C.one_arena() }
