package outbound

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
)

// secrets are texts that a peer may repeat in what it says to AUTH, and that are not to be seen in logs,
// transcripts and the reasons that operators are shown.
type secrets []string

// leastSecret is how long a text has to be to be looked for, in bytes: a shorter one is in too many words.
const leastSecret = 4

// add puts a text on the list, as it is and in base64.
func (s *secrets) add(text string) {
	for _, form := range []string{text, base64.StdEncoding.EncodeToString([]byte(text)), base64.RawStdEncoding.EncodeToString([]byte(text))} {
		if len(form) >= leastSecret {
			*s = append(*s, form)
		}
	}
	// What contains another goes first.
	slices.SortFunc(*s, func(a, b string) int { return len(b) - len(a) })
}

// scrub gives a reply without them.
func (s secrets) scrub(a answerLines) answerLines {
	if len(s) == 0 {
		return a
	}
	a.lines = slices.Clone(a.lines)
	for i := range a.lines {
		for _, secret := range s {
			a.lines[i] = strings.ReplaceAll(a.lines[i], secret, "***")
		}
	}
	return a
}

// scrubFault gives the fault of a reply without the text that it may quote.
func (s secrets) scrubFault(err error) error {
	if len(s) > 0 && errors.Is(err, errGarbage) {
		return errGarbage
	}
	return err
}
