package delegation

import (
	"bufio"
	"strings"
	"testing"
)

// FuzzAnswer: whatever a service answers is an error, a refusal, or edits that cannot break a header
// section or a reply.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		"action=DUNNO\n\n", "action=450 4.2.0 later\r\n\r\n", "action=PREPEND X-A: b\n\n", "action=REDIRECT <a@b.example>\n\n",
		"x=y\naction=HOLD\n\n", "\n", "action=REJECT \x00\xff\n\n", "action=999999999999999999999\n\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		action, err := readAction(bufio.NewReaderSize(strings.NewReader(text), maxAnswer))
		if err != nil {
			return
		}
		c, err := conclude(action)
		if err != nil {
			return
		}
		if r := c.ruling.Reply; r != nil && (r.Code < 400 || r.Code > 599 || r.Code == 421 || strings.ContainsAny(r.Text, "\r\n\x00")) {
			t.Errorf("%q makes the reply %v", action, r)
		}
		if e := c.ruling.Edits; e != nil {
			for _, h := range e.Header {
				if h.Name == "" || strings.ContainsAny(h.Name, ": \t\r\n") || strings.EqualFold(h.Name, "Received") || h.Value == "" {
					t.Errorf("%q makes the field %+v", action, h)
				}
			}
		}
	})
}
