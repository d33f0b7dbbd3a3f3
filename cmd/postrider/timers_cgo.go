//go:build cgo && linux

package main

// Go's runtime looks every 20 microseconds at what its threads do while some are in long system calls, as a server on
// a busy machine has them always: up to a tenth of the CPU of taking mail. The kernel may be late with a timer by the
// slack of its thread. With a millisecond instead of its 50 microseconds such looks are rarer, and everything else that
// waits for a time does not mind. It has to be said before there are threads, and holds for programs that we start. An
// operator's own (systemd's TimerSlackNSec) is left alone.

/*
#include <sys/prctl.h>

static const unsigned long usual_slack = 50000, slack = 1000000;

__attribute__((constructor)) static void allow_slack(void) {
	if (prctl(PR_GET_TIMERSLACK) == usual_slack)
		prctl(PR_SET_TIMERSLACK, slack);
}
*/
import "C"
