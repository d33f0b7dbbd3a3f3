package relay

import (
	"bytes"
	"slices"
)

// maxLine is the longest line of a message, in bytes without its end (RFC 5322 section 2.1.1). Hosts
// refuse messages with longer ones, and some refuse them for good.
const maxLine = 998

// fold breaks the lines of a header field that are too long at white space, which means the same
// (RFC 5322 section 2.2.3). A word that is too long by itself stays.
func fold(field []byte) []byte {
	if len(field) <= maxLine {
		return field
	}
	folded := make([]byte, 0, len(field)+16)
	for line := range bytes.Lines(field) {
		for len(line) > maxLine+len("\r\n") {
			at := breakOf(line)
			if at < 0 {
				break
			}
			folded = append(append(folded, line[:at]...), "\r\n"...)
			line = line[at:]
		}
		folded = append(folded, line...)
	}
	return folded
}

// breakOf is where a line that is too long is to be broken: before the last white space that leaves a
// line which is not, or else the first behind it; -1 where there is none between words.
func breakOf(line []byte) int {
	words := bytes.TrimRight(line, " \t\r\n")
	begin := len(words) - len(bytes.TrimLeft(words, " \t"))
	isSpace := func(i int) bool { return words[i] == ' ' || words[i] == '\t' }
	for i := min(maxLine, len(words)-1); i > begin; i-- {
		if isSpace(i) {
			return i
		}
	}
	after := min(maxLine+1, len(words))
	if i := slices.IndexFunc(words[after:], func(c byte) bool { return c == ' ' || c == '\t' }); i >= 0 {
		return after + i
	}
	return -1
}
