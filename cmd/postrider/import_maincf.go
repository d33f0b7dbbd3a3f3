package main

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// postfix is what is read of a Postfix configuration.
type postfix struct {
	dir string
	// order has the names of main.cf as they come; of one that is there twice the last value counts.
	order  []string
	values map[string]string
	// used are the names that have a counterpart, or need none.
	used map[string]bool
	// notes are for people: what could not be carried over.
	notes []string
}

func readPostfix(dir string) (*postfix, error) {
	lines, err := logicalLines(filepath.Join(dir, "main.cf"))
	if err != nil {
		return nil, err
	}
	p := &postfix{dir: dir, values: make(map[string]string), used: make(map[string]bool)}
	for _, line := range lines {
		name, value, found := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !found || name == "" {
			p.notes = append(p.notes, "not understood: "+line)
			continue
		}
		if _, again := p.values[name]; !again {
			p.order = append(p.order, name)
		}
		p.values[name] = strings.TrimSpace(value)
	}
	return p, nil
}

// logicalLines reads a file of Postfix's: a line that begins with space goes on the one before, and
// what begins with # is a comment (postconf(5)).
func logicalLines(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		text := strings.TrimSpace(s.Text())
		switch {
		case text == "" || text[0] == '#':
		case (s.Text()[0] == ' ' || s.Text()[0] == '\t') && len(lines) > 0:
			lines[len(lines)-1] += " " + text
		default:
			lines = append(lines, text)
		}
	}
	return lines, s.Err()
}

// referencePattern is $name, ${name} or $(name).
func referencePattern() *regexp.Regexp { return regexp.MustCompile(`\$(\w+|\{\w+\}|\(\w+\))`) }

// get gives a value with what it refers to, and notes that it was used.
func (p *postfix) get(name string) string {
	p.used[name] = true
	return p.expand(p.values[name], 0)
}

func (p *postfix) expand(text string, depth int) string {
	const most = 10 // who refers to himself gets no further
	if depth > most {
		return ""
	}
	return referencePattern().ReplaceAllStringFunc(text, func(ref string) string {
		return p.expand(p.values[strings.Trim(ref, "${}()")], depth+1)
	})
}

// table reads the text that a map such as hash:/etc/postfix/transport is made of: beside main.cf, or where
// it says. Others, such as those of databases, have none.
func (p *postfix) table(spec string) map[string]string {
	kind, path, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(spec), ","), ":")
	switch kind {
	case "hash", "btree", "lmdb", "texthash", "cdb", "dbm":
	default:
		p.notes = append(p.notes, "a map of a kind that is not read: "+spec)
		return nil
	}
	lines, err := logicalLines(filepath.Join(p.dir, filepath.Base(path)))
	if errors.Is(err, fs.ErrNotExist) {
		lines, err = logicalLines(path)
	}
	if err != nil {
		p.notes = append(p.notes, "a map that cannot be read: "+err.Error())
		return nil
	}
	table := make(map[string]string)
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 1 {
			table[fields[0]] = strings.Join(fields[1:], " ")
		}
	}
	return table
}
