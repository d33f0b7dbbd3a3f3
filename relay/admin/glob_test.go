package admin

import "testing"

func TestLike(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "anything", true},
		{"a@b.test", "A@B.test", true},
		{"a@b.test", "xa@b.test", false},
		{"*@b.test", "who@b.test", true},
		{"*@b.test", "who@b.test.example", false},
		{"internet/*", "internet/one.test", true},
		{"internet/*", "intranet", false},
		{"*", "", true},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		{"a*a", "a", false},
		{"ab*ba", "aba", false},
		{"ab*ba", "abba", true},
		{"**x", "yx", true},
	} {
		if got := like(tt.pattern, tt.text); got != tt.want {
			t.Errorf("like(%q, %q) = %v, want %v", tt.pattern, tt.text, got, tt.want)
		}
	}
}
