package integration

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a child of ours. It ends with us at the latest, however we end.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; set before done is closed

	mu sync.Mutex
	// lines are the latest of what it wrote to stderr.
	lines   []string
	changed chan struct{}
}

// The bounds of what is remembered of a process, and of how long it may take to end.
const (
	maxLines  = 20_000
	stopGrace = 30 * time.Second
)

// Start starts the command. Each line of its standard output is given to stdout, where
// that is not nil; the lines of stderr are kept.
func Start(cmd *exec.Cmd, stdout func(line string)) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{}), changed: make(chan struct{})}
	errs := &lineWriter{line: p.remember}
	cmd.Stderr = errs
	if stdout != nil {
		cmd.Stdout = &lineWriter{line: stdout}
	}
	cmd.WaitDelay = stopGrace
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the thread ends that started the child,
		// so the thread stays with the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

func (p *Process) remember(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) >= maxLines {
		p.lines = append(p.lines[:0], p.lines[maxLines/2:]...)
	}
	p.lines = append(p.lines, line)
	close(p.changed)
	p.changed = make(chan struct{})
}

// Lines gives what the process wrote to stderr, the latest of it if that is much.
func (p *Process) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// Await waits for a line on stderr, or finds it among those that were written. It is an
// error when the process ends without one.
func (p *Process) Await(ctx context.Context, what string, match func(line string) bool) (string, error) {
	for ended := false; ; {
		p.mu.Lock()
		lines, changed := append([]string(nil), p.lines...), p.changed
		p.mu.Unlock()
		for _, line := range lines {
			if match(line) {
				return line, nil
			}
		}
		if ended {
			return "", fmt.Errorf("%s ended (%v) before %s; it said:\n%s", p.cmd.Path, p.err, what, strings.Join(lines, "\n"))
		}
		select {
		case <-changed:
		case <-p.done:
			ended = true
		case <-ctx.Done():
			return "", fmt.Errorf("%s: waiting for %s: %w; it said:\n%s", p.cmd.Path, what, ctx.Err(), strings.Join(lines, "\n"))
		}
	}
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and all its output has been read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal. A process that has ended does not mind.
func (p *Process) Signal(s os.Signal) { p.cmd.Process.Signal(s) }

// Kill is kill -9, and waits for the end.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Wait waits for the end and gives the exit code, -1 where a signal ended it.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return -1, fmt.Errorf("%s has not ended: %w", p.cmd.Path, ctx.Err())
	}
}

// Stop asks the process to end with SIGTERM and gives its exit code. One that does not is
// killed, which is an error.
func (p *Process) Stop() (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	p.Signal(syscall.SIGTERM)
	code, err := p.Wait(ctx)
	if err != nil {
		p.Kill()
	}
	return code, err
}

// RSS gives the resident memory in bytes.
func (p *Process) RSS() (int64, error) { return p.memory("VmRSS:") }

// PeakRSS gives the most resident memory so far, in bytes.
func (p *Process) PeakRSS() (int64, error) { return p.memory("VmHWM:") }

// clockTick is the unit of CPU time in /proc; it is the same on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// CPU gives the CPU time used so far.
func (p *Process) CPU() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
	if err != nil {
		return 0, err
	}
	// The second field is a name in parentheses, which may contain anything. The 14th and 15th
	// are the time in the program and in the system.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("the status of a process ends early: %q", text)
	}
	var total time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(ticks) * clockTick
	}
	return total, nil
}

func (p *Process) memory(line string) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if text, ok := strings.CutPrefix(s.Text(), line); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(text, "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in the status of a process", line)
}

// lineWriter cuts what is written to it into lines.
type lineWriter struct {
	line func(string)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, ok := bytes.Cut(p, []byte("\n"))
		w.rest = append(w.rest, line...)
		if !ok {
			return n, nil
		}
		w.line(string(w.rest))
		w.rest, p = w.rest[:0], rest
	}
}
