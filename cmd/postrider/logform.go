package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// logForm is how lines of the log are written.
type logForm struct {
	// text is for people, JSON for everything else; colour is for terminals.
	text, colour bool
	// journal says that systemd's journal reads: each line begins with its priority.
	journal bool
}

// formOf is the form for a file, by the configuration's word. The one word that leaves it to us means text
// at a terminal, where somebody watches.
func formOf(word string, f *os.File) logForm {
	form := logForm{text: word == "text" || word == "auto" && isTerminal(f), journal: journalled(f, os.Getenv("JOURNAL_STREAM"))}
	form.colour = form.text && bool(newPainter(f))
	return form
}

// journalled says whether what is written to f goes to the journal: the device and inode that systemd names
// (systemd.exec(5), JOURNAL_STREAM) are those of f. The variable is inherited also by those whose output
// somebody has redirected.
func journalled(f *os.File, stream string) bool {
	info, err := f.Stat()
	if err != nil || stream == "" {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// newLogger makes the logger that writes lines of a form to w, each at once.
func newLogger(w io.Writer, form logForm) zerolog.Logger {
	return zerolog.New(form.writer(w)).With().Timestamp().Logger()
}

// priority is how a line of a level begins for the journal (sd-daemon(3)): the priority of syslog.
func priority(level zerolog.Level) string {
	switch level {
	case zerolog.TraceLevel, zerolog.DebugLevel:
		return "<7>"
	case zerolog.WarnLevel:
		return "<4>"
	case zerolog.ErrorLevel:
		return "<3>"
	case zerolog.FatalLevel, zerolog.PanicLevel:
		return "<2>"
	}
	return "<6>"
}

// levelWriters has a writer for each level that zerolog writes, from TraceLevel on.
type levelWriters [zerolog.NoLevel - zerolog.TraceLevel + 1]io.Writer

var _ zerolog.LevelWriter = (*levelWriters)(nil)

// writer passes lines on to w.
func (form logForm) writer(w io.Writer) *levelWriters {
	all := new(levelWriters)
	for i := range all {
		to := w
		if form.journal {
			to = prefixed{w, priority(zerolog.Level(i) + zerolog.TraceLevel)}
		}
		if form.text {
			console := zerolog.ConsoleWriter{Out: to, TimeFormat: time.RFC3339, NoColor: !form.colour}
			if form.journal {
				console.PartsExclude = []string{zerolog.TimestampFieldName} // the journal knows it
			}
			to = console
		}
		all[i] = to
	}
	return all
}

// WriteLevel writes a line of a level.
func (all *levelWriters) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	if level < zerolog.TraceLevel || level > zerolog.NoLevel {
		level = zerolog.NoLevel
	}
	return all[level-zerolog.TraceLevel].Write(line)
}

// Write writes a line without a level.
func (all *levelWriters) Write(line []byte) (int, error) {
	return all.WriteLevel(zerolog.NoLevel, line)
}

// prefixed writes each line with something in front of it.
type prefixed struct {
	to     io.Writer
	prefix string
}

// Write writes a whole line.
func (p prefixed) Write(line []byte) (int, error) {
	if _, err := p.to.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// lost is the line that tells of lines that were dropped.
func (form logForm) lost(lines int64) []byte {
	var line bytes.Buffer
	log := newLogger(&line, form)
	log.Error().Int64("lines", lines).Msg("log lines dropped: the reader of the log is too slow")
	return line.Bytes()
}

// complain writes an error that ends the program, of several lines perhaps, and does not wait for ever for
// somebody to read it.
func complain(to io.Writer, err error) {
	w := newLogWriter(to, logForm{})
	text := fmt.Sprintf("postrider: %v", err)
	if f, ok := to.(*os.File); ok && journalled(f, os.Getenv("JOURNAL_STREAM")) {
		text = priority(zerolog.ErrorLevel) + strings.ReplaceAll(text, "\n", "\n"+priority(zerolog.ErrorLevel))
	}
	fmt.Fprintln(w, text)
	_ = w.Close() // as far as somebody reads it
}
