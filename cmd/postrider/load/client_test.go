package load

import "testing"

func FuzzParseReplyLine(f *testing.F) {
	for _, seed := range []string{"250 Ok\r\n", "250-SIZE\r\n", "354\r\n", "2x0 no\r\n", "\n", "99 \r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		code, more, _, err := parseReplyLine(line)
		if err == nil && (code < 200 || code > 599) || err != nil && more {
			t.Errorf("%q: code %d, more %v, %v", line, code, more, err)
		}
	})
}
