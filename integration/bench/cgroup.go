package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroup is a control group (version 2) that the server under test runs in, so that the CPU
// time of children that come and go is counted as well.
type cgroup struct {
	dir *os.File
}

func newCgroup(name string) (*cgroup, error) {
	root, err := cgroupRoot()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(root, name)
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, fmt.Errorf("make a control group: %w", err)
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return &cgroup{dir: dir}, nil
}

// cgroupRoot finds where version 2 is mounted: alone, or beside version 1.
func cgroupRoot() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1], nil
		}
	}
	return "", errors.New("no control groups of version 2 are mounted (mount -t cgroup2 none /sys/fs/cgroup)")
}

// hold makes the command start inside the group.
func (g *cgroup) hold(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(g.dir.Fd())}
}

// cpu is the time used so far by all that ran in the group.
func (g *cgroup) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join(g.dir.Name(), "cpu.stat"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(stat)) {
		if text, ok := strings.CutPrefix(line, "usage_usec "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			return time.Duration(n) * time.Microsecond, err
		}
	}
	return 0, errors.New("no usage in cpu.stat")
}

func (g *cgroup) pids() ([]int, error) {
	text, err := os.ReadFile(filepath.Join(g.dir.Name(), "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// pss is the memory of all in the group in bytes, what they share counted once.
func (g *cgroup) pss() (total int64) {
	pids, _ := g.pids()
	for _, pid := range pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) // it may have ended
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
				total += kb << 10
			}
		}
	}
	return total
}

// close ends whatever is left in the group, waits until it is gone, and removes the group.
// It is busy until the last of its processes is buried, which is later than its death.
func (g *cgroup) close() error {
	path := g.dir.Name()
	err := errors.Join(os.WriteFile(filepath.Join(path, "cgroup.kill"), []byte("1"), 0), g.dir.Close())
	removed := os.Remove(path)
	for range 1000 {
		if removed == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
		removed = os.Remove(path)
	}
	return errors.Join(err, removed)
}
