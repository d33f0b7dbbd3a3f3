package outbound

import (
	"strings"
	"testing"
	"time"
)

func TestParseSTSRecord(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"v=STSv1; id=20160831085700Z;":           "20160831085700Z",
		"v=STSv1;id=a;foo=bar":                   "a",
		"v=spf1 -all|v=STSv1; id=b":              "b",
		"v=STSv1; id=a|v=STSv1; id=b":            "",
		"v=STSv1":                                "",
		"v=STSv1; id=no-hyphens":                 "",
		"v=STSv2; id=a":                          "",
		"":                                       "",
		"v=STSv1; id=" + strings.Repeat("1", 33): "",
	} {
		if id, ok := parseSTSRecord(strings.Split(text, "|")); ok != (want != "") || ok && id != want {
			t.Errorf("%q: got %q, %v, want %q", text, id, ok, want)
		}
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n")
	f.Add("version:STSv1\nmode:none\nmax_age:1\n")
	now := time.Unix(1<<30, 0)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePolicy(text, now)
		if err != nil {
			return
		}
		if p.Expires.Before(now) || p.Expires.Sub(now) > stsMaxAge || p.Mode == stsEnforce && len(p.MX) == 0 || len(p.MX) > stsMaxMX {
			t.Errorf("%q: %+v", text, p)
		}
		p.allows("mx.example.com")
	})
}
