package tlsrpt

import (
	"strings"
	"testing"
	"time"
)

func TestParseRecord(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		txts []string
		want string
	}{
		{"mail", []string{"v=TLSRPTv1; rua=mailto:reports@example.com"}, "mailto:reports@example.com"},
		{"both", []string{"v=TLSRPTv1;rua=mailto:a@example.com,https://example.com/v1;"}, "mailto:a@example.com https://example.com/v1"},
		{"spaces", []string{"v=TLSRPTv1 ; rua = mailto:a@example.com , mailto:b%2Bc@example.com ;"}, "mailto:a@example.com mailto:b%2Bc@example.com"},
		{"extension", []string{"v=TLSRPTv1; x=y; rua=mailto:a@example.com"}, "mailto:a@example.com"},
		{"among others", []string{"v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@example.com"}, "mailto:a@example.com"},
		{"two records", []string{"v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1; rua=mailto:b@example.com"}, ""},
		{"another version", []string{"v=TLSRPTv2; rua=mailto:a@example.com"}, ""},
		{"no address", []string{"v=TLSRPTv1; rua=mailto:example.com,mailto:,https:///x,http://example.com,ftp://example.com"}, ""},
		{"credentials", []string{"v=TLSRPTv1; rua=https://user:secret@example.com/"}, ""},
		{"no rua", []string{"v=TLSRPTv1;"}, ""},
		{"none", nil, ""},
		{"line break", []string{"v=TLSRPTv1; rua=mailto:a%0D%0ABcc:b@example.com"}, ""},
		{"many", []string{"v=TLSRPTv1; rua=" + strings.Repeat("https://example.com/,", 100)}, strings.TrimSpace(strings.Repeat("https://example.com/ ", maxRecipients))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, u := range parseRecord(tt.txts) {
				got = append(got, u.String())
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

// Whatever a stranger publishes, what comes out can stand in a header and be connected to.
func FuzzParseRecord(f *testing.F) {
	f.Add("v=TLSRPTv1; rua=mailto:a@example.com,https://example.com/")
	f.Add("v=TLSRPTv1; rua=mailto:%0a@example.com")
	f.Fuzz(func(t *testing.T, text string) {
		uris := parseRecord([]string{text})
		if len(uris) > maxRecipients {
			t.Errorf("%d addresses", len(uris))
		}
		for _, u := range uris {
			to, isMail := mailbox(u)
			if isMail && (to.Domain == "" || strings.ContainsAny(to.String(), "\r\n\x00")) || !isMail && u.Host == "" {
				t.Errorf("%q gives %q", text, u)
			}
		}
	})
}

func FuzzParseDay(f *testing.F) {
	f.Add([]byte(`{"version":1,"domains":{"a.test":{"policies":[{"policy":{"policy-type":"sts","policy-domain":"a.test"},"successes":1,"failures":1,"details":[{"failure":{"result-type":"certificate-expired"},"count":1}]}]}}}`))
	f.Add([]byte(`{"version":1,"domains":{"a":null}}`))
	f.Fuzz(func(_ *testing.T, text []byte) {
		day, err := parseDay(text)
		if err != nil {
			return
		}
		day.add(Session{Domain: "a.test", Failure: Failure{Type: ValidationFailure}})
		for domain, counts := range day.Domains {
			day.add(Session{Domain: domain, Failure: Failure{Type: ValidationFailure}})
			newReport(&Options{}, domain, time.Time{}, counts)
		}
	})
}
