package hook

import (
	"strings"
	"testing"
)

// FuzzAnswer: whatever a service answers is an error, a refusal, or edits that cannot break a header
// section or a reply.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		`{"action":"accept","tags":["a"],"headers":[{"name":"X","value":"y"}]}`, `{"action":"reject","code":554,"reason":"5.1.1 no"}`,
		`{"action":"defer","code":421}`, `{"action":"hold","reason":"\u0000"}`, `[]`, `null`, `{"action":"discard"}x`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, _, err := parse(text)
		if err != nil {
			return
		}
		if p := r.Reply; p != nil && (p.Code < 400 || p.Code > 599 || p.Code == 421 || strings.ContainsAny(p.Text, "\r\n\x00")) {
			t.Errorf("%q makes the reply %v", text, p)
		}
		if r.Edits == nil {
			return
		}
		for _, h := range r.Edits.Header {
			if h.Name == "" || h.Value == "" || strings.ContainsAny(h.Name, ": \t\r\n") || strings.ContainsAny(h.Value, "\r\n\x00") {
				t.Errorf("%q makes the field %+v", text, h)
			}
		}
	})
}
