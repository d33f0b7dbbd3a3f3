package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every command has a page that says what it does, and every shell its completion.
func TestDocs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "man1")
	run := func(args ...string) string {
		t.Helper()
		root := newRootCommand()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(args)
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		return out.String()
	}
	if out := run("docs", "man", dir); !strings.Contains(out, "pages are in") {
		t.Errorf("got %q", out)
	}
	for _, c := range newRootCommand().Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		page, err := os.ReadFile(filepath.Join(dir, "postrider-"+c.Name()+".1"))
		if err != nil {
			t.Errorf("%s: %v", c.Name(), err)
		} else if !bytes.Contains(page, []byte(".SH SYNOPSIS")) {
			t.Errorf("%s has a page without a synopsis", c.Name())
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if script := run("completion", shell); !strings.Contains(script, "postrider") {
			t.Errorf("%s: %q", shell, script)
		}
	}
}
