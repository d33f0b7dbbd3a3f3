package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// SyncTrace counts the fsyncs of a process and of its children from outside, with strace. Only
// these calls are stopped at, so everything else runs at its usual speed.
type SyncTrace struct {
	file  string
	delay time.Duration
}

// syncCall is the beginning of a call in strace's output; the end of one that was
// interrupted by another thread's has no parenthesis after the name.
var syncCall = regexp.MustCompile(`\b(fsync|fdatasync)\(`)

// NewSyncTrace writes its notes into the folder. The delay is added to each fsync, to be
// like a disk for which it is not free; 0 adds none.
func NewSyncTrace(dir string, delay time.Duration) *SyncTrace {
	return &SyncTrace{file: filepath.Join(dir, "strace"), delay: delay}
}

// Wrap makes the command run under the trace. It keeps its process id.
func (s *SyncTrace) Wrap(cmd *exec.Cmd) {
	args := []string{"strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o", s.file, "-e", "trace=fsync,fdatasync"}
	if s.delay > 0 {
		args = append(args, "-e", fmt.Sprintf("inject=fsync,fdatasync:delay_enter=%d", s.delay.Microseconds()))
	}
	args = append(args, "--", cmd.Path)
	cmd.Args = append(args, cmd.Args[1:]...)
	cmd.Path, cmd.Err = exec.LookPath("strace")
}

// Count is the number of fsyncs so far.
func (s *SyncTrace) Count() (int, error) {
	f, err := os.Open(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
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
