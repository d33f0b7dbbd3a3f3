//go:build cgo && linux

package main

// Go's runtime looks every 20 microseconds at what its threads do while some are in long system calls, as a server on
// a busy machine has them always: up to a tenth of the CPU of taking mail. The kernel may be late with a timer by the
// slack of its thread. With a millisecond instead of its 50 microseconds such looks are rarer, and everything else that
// waits for a time does not mind. Where Go code runs on one CPU alone it stands still while that waits for the disk and
// nobody looks, so that there it is less. It has to be said before there are threads, and holds for programs that we
// start. An operator's own (systemd's TimerSlackNSec) is left alone.

/*
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>

static const unsigned long usual_slack = 50000, lone_slack = 200000, slack = 1000000;

static int is_alone(void) {
	const char *most = getenv("GOMAXPROCS");
	if (most != NULL && atoi(most) == 1)
		return 1;
	cpu_set_t cpus;
	return sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) == 1;
}

__attribute__((constructor)) static void allow_slack(void) {
	if (prctl(PR_GET_TIMERSLACK) == usual_slack)
		prctl(PR_SET_TIMERSLACK, is_alone() ? lone_slack : slack);
}
*/
import "C"
