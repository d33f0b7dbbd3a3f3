package configs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Fault is one thing that is wrong with the configuration.
type Fault struct {
	// File is the configuration file, or "command line".
	File string
	// Line and Column count from 1, in characters; 0 when the fault has no one place.
	Line, Column int
	// Message says what is wrong, and how to put it right where that is not plain.
	Message string
	// Source is the line as it stands in the file.
	Source string
}

// Error shows the place, the message and, where there is one, the line.
func (f *Fault) Error() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s", f.File, f.Message)
	}
	number := fmt.Sprint(f.Line)
	source, column := window([]rune(f.Source), f.Column-1)
	// Tabs are as wide in the line below as in the line itself.
	before := slices.Clone(source[:column])
	for i, r := range before {
		if r != '\t' {
			before[i] = ' '
		}
	}
	return fmt.Sprintf("%s:%d:%d: %s\n  %s | %s\n  %s | %s^", f.File, f.Line, f.Column, f.Message,
		number, string(source), strings.Repeat(" ", len(number)), string(before))
}

// window gives what is shown of a long line, and the column (from 0) in it.
func window(line []rune, column int) ([]rune, int) {
	const width = 200
	column = min(column, len(line))
	start := 0
	if column > width {
		start = column - width/2
	}
	return line[start:min(start+width, len(line))], column - start
}

// Faults is the error of a configuration that cannot be used: everything that is wrong
// with it, in the order of the file.
type Faults []*Fault

// Error shows each fault, one after the other.
func (fs Faults) Error() string {
	texts := make([]string, len(fs))
	for i, f := range fs {
		texts[i] = f.Error()
	}
	return strings.Join(texts, "\n")
}

// place is where a key's value stands in the file.
type place struct{ line, column int }

// report gathers faults. It knows where in the file each key's value stands, by the
// key's path, such as "routes[2].when".
type report struct {
	file   string
	lines  []string
	places map[string]place
	// unread are the paths of values that could not be read: nothing more is said of them.
	unread []string
	faults Faults
}

func newReport(file, source string) *report {
	if file == "" {
		file = "configuration"
	}
	return &report{file: file, lines: strings.Split(strings.ReplaceAll(source, "\r\n", "\n"), "\n"), places: make(map[string]place)}
}

// at reports a fault at a place of the file.
func (r *report) at(p place, format string, args ...any) {
	f := &Fault{File: r.file, Message: fmt.Sprintf(format, args...)}
	if p.line >= 1 && p.line <= len(r.lines) {
		f.Line, f.Column, f.Source = p.line, max(p.column, 1), r.lines[p.line-1]
	}
	r.faults = append(r.faults, f)
}

// cannotRead reports a value that is not of its kind. What else it may be lacking, and
// what holds it, does not matter until then.
func (r *report) cannotRead(path, format string, args ...any) {
	r.fault(path, format, args...)
	r.unread = append(r.unread, path)
}

// fault reports a fault of a key's value. A key that the file does not have is named in
// the message, after what stands above it.
func (r *report) fault(path, format string, args ...any) {
	if slices.ContainsFunc(r.unread, func(u string) bool { return holds(path, u) || holds(u, path) }) {
		return
	}
	p, ok := r.places[path]
	for above := path; !ok && above != ""; {
		above = above[:max(strings.LastIndexAny(above, ".["), 0)]
		if p, ok = r.places[above]; ok && above != "" {
			break
		}
	}
	r.at(p, "%s: %s", path, fmt.Sprintf(format, args...))
}

// inside reports a fault at a line and column within a key's value, both from 1.
func (r *report) inside(path, value string, line, column int, err error) {
	p, ok := r.places[path]
	text := strings.Split(value, "\n")
	if !ok || line < 1 || line > len(text) {
		r.fault(path, "%s", err)
		return
	}
	// However the value is written, its line stands somewhere from its start on.
	want := strings.TrimSpace(text[line-1])
	indent := utf8.RuneCountInString(text[line-1]) - utf8.RuneCountInString(strings.TrimLeft(text[line-1], " \t"))
	for i := p.line; i <= min(p.line+len(text), len(r.lines)); i++ {
		start := 0
		if i == p.line {
			start = len(firstRunes(r.lines[i-1], p.column-1))
		}
		if at := strings.Index(r.lines[i-1][start:], want); at >= 0 {
			before := utf8.RuneCountInString(r.lines[i-1][:start+at])
			r.at(place{i, before + column - indent}, "%s: %s", path, err)
			return
		}
	}
	r.fault(path, "%s", err)
}

func firstRunes(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

// flag reports a fault of the command line, which leaves the key at path unread.
func (r *report) flag(path, format string, args ...any) {
	r.faults = append(r.faults, &Fault{File: "command line", Message: fmt.Sprintf(format, args...)})
	r.unread = append(r.unread, path)
}

// holds says whether the value at path is, or holds, the one at inner.
func holds(path, inner string) bool {
	rest, ok := strings.CutPrefix(inner, path)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// forget drops what is known of a key that the command line replaces.
func (r *report) forget(key string) {
	maps.DeleteFunc(r.places, func(path string, _ place) bool { return holds(key, path) })
}

// err is nil where nothing was reported, and else all of it in the order of the file.
func (r *report) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.faults, func(a, b *Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	// Two listeners can want the same file of users.
	return slices.CompactFunc(r.faults, func(a, b *Fault) bool { return *a == *b })
}
