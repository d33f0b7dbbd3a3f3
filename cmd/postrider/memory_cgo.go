//go:build cgo

package main

// With cgo the spool's database has its memtables and its cache from malloc, and that of glibc keeps an arena for
// each thread, of which each holds on to the most that it ever had. One is enough. It has to be said before there are
// threads. An operator's MALLOC_ARENA_MAX is left alone.

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>

__attribute__((constructor)) static void keep_one_arena(void) {
	if (getenv("MALLOC_ARENA_MAX") == NULL)
		mallopt(M_ARENA_MAX, 1);
}
#endif
*/
import "C"
