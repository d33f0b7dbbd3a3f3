package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postrider/outbound"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "postrider.yaml")
	text := `
hostname: relay.example.com
replies: [{name: tuesday, match: come back on, class: greylisting, sample: "451 come back on Tuesday"}]
retry: {classes: [{class: greylisting, least: 1h, first: 2h, factor: 1, max: 3h}]}
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"550 5.1.1 User unknown"}, []string{"class:  user", "rule:   no-such-user", "the text matches", "the message bounces"}},
		{[]string{"550", "5.4.5", "Daily user sending limit exceeded"}, []string{"class:  rate", "tried again, first after 1m0s to 10m0s, later up to 2h0m0s", "given less"}},
		{[]string{"451 whatever"}, []string{"class:  none", "no rule", "first after 6s to 1m0s, later up to 4h0m0s"}},
		{[]string{"-c", config, "451 come back on Friday"}, []string{"class:  greylisting", "rule:   tuesday", "1h0m0s to 2h0m0s, later up to 3h0m0s"}},
		{[]string{"--json", "535 5.7.8 no"}, []string{`"class":"auth"`, `"bounces":false`, `"slows_site":true`}},
	} {
		out, err := runCommand(t, append([]string{"classify"}, tt.args...)...)
		if err != nil {
			t.Errorf("%v: %v", tt.args, err)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v: %s\nlacks %q", tt.args, out, want)
			}
		}
	}
	for _, args := range [][]string{{}, {"hello"}, {"250 fine"}, {"--list", "550 x"}} {
		if out, err := runCommand(t, append([]string{"classify"}, args...)...); err == nil {
			t.Errorf("%v: no error, and %s", args, out)
		}
	}
	out, err := runCommand(t, "classify", "--list", "-c", config)
	if err != nil || !strings.HasPrefix(out, "greylisting  tuesday ") || strings.Count(out, "\n") != 2*(len(outbound.ReplyRules())+1) {
		t.Errorf("list: %v\n%s", err, out)
	}
}
