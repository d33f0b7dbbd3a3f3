package main

import (
	"strings"
	"testing"
)

// Exit codes are what scripts go by: those that every command has are in the help of the program, others in
// that of the command.
func TestExitCodesAreTold(t *testing.T) {
	t.Parallel()
	root := newRootCommand()
	for command, want := range map[string][]string{
		"":           {"exit code is 0", "1 where something failed", "sysexits.h"},
		"trace":      {"exit code is 1"},
		"doctor":     {"exit code is 1"},
		"health":     {"exit code is 0", "and 1 if not"},
		"reload":     {"exit code is 1"},
		"queue hold": {"exit code is 1"},
		"sendmail":   {"75"},
	} {
		cmd, _, err := root.Find(strings.Fields(command))
		if err != nil {
			t.Fatal(err)
		}
		help := strings.Join(strings.Fields(cmd.Long), " ")
		for _, text := range want {
			if !strings.Contains(help, text) {
				t.Errorf("%q --help lacks %q: %s", command, text, help)
			}
		}
	}
}
