package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
)

// Each level has its priority for the journal, on one line, and nothing in front of it elsewhere.
func TestLogForm(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		form logForm
		want []string
	}{
		"JSON":              {logForm{}, []string{`{"level":"debug","to":"a@b"`, `{"level":"info"`, `{"level":"warn"`, `{"level":"error"`}},
		"JSON, the journal": {logForm{journal: true}, []string{`<7>{"level":"debug"`, `<6>{"level":"info"`, `<4>{"level":"warn"`, `<3>{"level":"error"`}},
		"text, the journal": {logForm{text: true, journal: true}, []string{"<7>DBG said to=a@b", "<6>INF said", "<4>WRN said", "<3>ERR said"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			log := newLogger(&got, tt.form)
			log.Debug().Str("to", "a@b").Msg("said")
			log.Info().Msg("said")
			log.Warn().Msg("said")
			log.Error().Str("reply", "two\nlines").Msg("said")
			lines := strings.Split(strings.TrimSuffix(got.String(), "\n"), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%d lines, want %d:\n%s", len(lines), len(tt.want), &got)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("got %q, want it to begin with %q", lines[i], want)
				}
			}
		})
	}
}

// People read text; that lines were lost is told in the form of the others.
func TestLogFormText(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	log := newLogger(&got, logForm{text: true})
	log.Info().Str("to", "a@b").Msg("accepted")
	if line := got.String(); !strings.HasSuffix(line, "INF accepted to=a@b\n") || strings.Contains(line, "\x1b") {
		t.Errorf("got %q", line)
	}
	for form, want := range map[logForm]string{
		{text: true, journal: true}: "<3>ERR log lines dropped: the reader of the log is too slow lines=7\n",
		{journal: true}:             `<3>{"level":"error","lines":7,`,
	} {
		if line := string(form.lost(7)); !strings.HasPrefix(line, want) {
			t.Errorf("got %q, want %q", line, want)
		}
	}
}

// The journal reads what is the very stream that systemd names, and no other one.
func TestJournalled(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	for stream, want := range map[string]bool{
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino):   true,
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1): false,
		fmt.Sprintf("%d:%d", stat.Dev+1, stat.Ino): false,
		fmt.Sprint(stat.Dev):                       false,
		"":                                         false,
	} {
		if got := journalled(f, stream); got != want {
			t.Errorf("%q: got %v, want %v", stream, got, want)
		}
	}
}

// An error that nobody reads does not keep the program from its end.
func TestComplain(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	complain(&got, errors.New("no such thing"))
	if want := "postrider: no such thing\n"; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
}

// What zerolog can write has a writer.
func TestLogFormLevels(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	w := logForm{journal: true}.writer(&got)
	for level := zerolog.TraceLevel; level <= zerolog.Disabled; level++ {
		if n, err := w.WriteLevel(level, []byte("line\n")); n != 5 || err != nil {
			t.Errorf("%s: %d, %v", level, n, err)
		}
	}
	if n := strings.Count(got.String(), "line\n"); n != 9 {
		t.Errorf("%d lines, want 9", n)
	}
}
