package main

import (
	"slices"
	"strings"
	"testing"

	"postrider/relay/admin"
)

func TestReadSuppressions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want []admin.Suppression
		err  string
	}{
		{"", nil, ""},
		{"# old\n\n bob@two.test \r\ncid@two.test", []admin.Suppression{{Address: "bob@two.test", Scope: "s"}, {Address: "cid@two.test", Scope: "s"}}, ""},
		{`{"address":"bob@two.test","scope":"global","reason":"r"}`, []admin.Suppression{{Address: "bob@two.test", Scope: "global", Reason: "r"}}, ""},
		{"bob@two.test\n{\"adress\":\"cid@two.test\"}", nil, "line 2"},
		{"{", nil, "line 1"},
	}
	for _, tt := range tests {
		got, err := readSuppressions(strings.NewReader(tt.text), "s")
		if !slices.Equal(got, tt.want) || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: got %+v, %v, want %+v, %s", tt.text, got, err, tt.want, tt.err)
		}
	}
}

// FuzzReadSuppressions looks for a file that breaks the reader.
func FuzzReadSuppressions(f *testing.F) {
	f.Add("bob@two.test\n{\"address\":\"cid@two.test\",\"since\":\"2026-11-22T00:00:00Z\"}")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := readSuppressions(strings.NewReader(text), "")
		if err != nil && all != nil {
			t.Errorf("%d and %v", len(all), err)
		}
	})
}
