package admin

import "strings"

// like says whether a text has the form of a pattern, in which * stands for any characters.
// Case does not matter: domains have none, and people who search do not mean it. The empty
// pattern is like everything.
func like(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	first, rest, wild := strings.Cut(strings.ToLower(pattern), "*")
	text = strings.ToLower(text)
	if !wild {
		return text == first
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return strings.HasSuffix(text, last)
}
