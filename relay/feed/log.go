package feed

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
)

// logFile is a file of lines that others may move away.
type logFile struct {
	name string

	mu   sync.Mutex
	file *os.File
}

func openLog(name string) (*logFile, error) {
	l := &logFile{name: name}
	return l, l.reopen()
}

// reopen opens the file of the name anew. If that fails the one before stays.
func (l *logFile) reopen() error {
	if err := os.MkdirAll(filepath.Dir(l.name), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(l.name, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o640)
	if err != nil {
		return err
	}
	if err := endLine(file); err != nil {
		return errors.Join(err, file.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		err = l.file.Close()
	}
	l.file = file
	return err
}

// endLine ends the line that a crash left unfinished.
func endLine(file *os.File) error {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 || !info.Mode().IsRegular() {
		return err
	}
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = file.Write([]byte{'\n'})
	return err
}

// write appends lines. Where the disk is full what was written of them is taken away again.
func (l *logFile) write(lines []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return appendWhole(l.file, lines)
}

func (l *logFile) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// appendWhole appends all or, as far as the file system lets us, nothing.
func appendWhole(file *os.File, lines []byte) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if _, err = file.Write(lines); err != nil {
		if undo := file.Truncate(info.Size()); undo != nil {
			return undo
		}
	}
	return err
}
