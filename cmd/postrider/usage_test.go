package main

import (
	"strings"
	"testing"
)

// Whoever mistypes a command is told how it is used, and gets an exit code for it.
func TestUsage(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"queue lst":            {`unknown command "lst" for "postrider queue": did you mean list?`, "postrider queue --help lists its commands"},
		"queue show":           {"accepts 1 arg(s), received 0\nusage: postrider queue show id [flags]\npostrider queue show --help"},
		"queue hold --all":     {`"reason" not set`, "usage: postrider queue hold [id...] [flags]"},
		"queue list --foo":     {"unknown flag: --foo\nusage: postrider queue list"},
		"suppression remove":   {"requires at least 1 arg(s)", "usage: postrider suppression remove address..."},
		"dest pause smarthost": {`"reason" not set`},
		"check extra":          {"usage: postrider check [flags]"},
	} {
		_, err := runCommand(t, strings.Fields(line)...)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: got %v, want %q", line, err, w)
			}
		}
	}
	if out, err := runCommand(t, "queue"); err != nil || !strings.Contains(out, "Available Commands:") {
		t.Errorf("queue: got %q, %v, want help", out, err)
	}
}
