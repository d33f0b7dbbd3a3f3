package integration

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// SyncCounter counts the fsyncs of processes from outside, with strace.
type SyncCounter struct {
	*Process
	file string
}

// syncCall is the beginning of a call in strace's output; "resumed" lines are the ends of
// calls that were counted already.
var syncCall = regexp.MustCompile(`\b(fsync|fdatasync)\(`)

// CountSyncs attaches to the processes and to all that they start. A delay is added to each
// fsync, to be like a disk for which it is not free; 0 adds none.
func CountSyncs(ctx context.Context, dir string, delay time.Duration, pids ...int) (*SyncCounter, error) {
	file, err := os.CreateTemp(dir, "strace")
	if err != nil {
		return nil, err
	}
	file.Close()
	c := &SyncCounter{file: file.Name()}
	args := []string{"-f", "-o", c.file, "-e", "trace=fsync,fdatasync"}
	if delay > 0 {
		args = append(args, "-e", fmt.Sprintf("inject=fsync,fdatasync:delay_enter=%d", delay.Microseconds()))
	}
	for _, pid := range pids {
		args = append(args, "-p", strconv.Itoa(pid))
	}
	if c.Process, err = Start(exec.Command("strace", args...), nil); err != nil {
		return nil, err
	}
	for _, pid := range pids {
		attached := fmt.Sprintf("Process %d attached", pid)
		_, err := c.Await(ctx, attached, func(line string) bool { return strings.Contains(line, attached) })
		if err != nil {
			c.Kill()
			return nil, err
		}
	}
	return c, nil
}

// Stop detaches and gives the number of fsyncs.
func (c *SyncCounter) Stop() (int, error) {
	if _, err := c.Process.Stop(); err != nil {
		return 0, err
	}
	f, err := os.Open(c.file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if syncCall.MatchString(lines.Text()) {
			n++
		}
	}
	return n, lines.Err()
}
