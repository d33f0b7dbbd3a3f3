package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommandLineMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want string }{
		{"sink --print everything", "--print"},
		{"sink --tls-cert x", "--tls-key"},
		{"sink --size huge", "--size"},
		{"sink --reject nonsense", "--reject"},
		{"load --messages 0", "--messages"},
		{"load --to nowhere", "--to"},
		{"load --size -1", "--size"},
		{"frobnicate", "unknown command"},
	} {
		cmd := newRootCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetArgs(strings.Fields(tt.args))
		var stderr bytes.Buffer
		if code := execute(cmd, &stderr); code != 1 {
			t.Errorf("%s: exit code %d, want 1", tt.args, code)
		}
		if got := stderr.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, tt.want) {
			t.Errorf("%s: stderr %q, want one line with %q", tt.args, got, tt.want)
		}
	}
}
