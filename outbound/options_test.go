package outbound_test

import (
	"fmt"
	"strings"
	"testing"

	"postrider/outbound"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := outbound.Route{Name: "r", Hosts: []string{"smtp.test"}}
	for _, tt := range []struct {
		name string
		edit func(*outbound.Options)
		want []string
	}{
		{"no hostname", func(o *outbound.Options) { o.Hostname = "" }, []string{"no hostname"}},
		{"port", func(o *outbound.Options) { o.MXPort = 70000 }, []string{"70000"}},
		{"twice", func(o *outbound.Options) { o.Routes = append(o.Routes, good) }, []string{`two routes are named "r"`}},
		{"name", func(o *outbound.Options) { o.Routes[0].Name = "a/b" }, []string{"slash"}},
		{"both", func(o *outbound.Options) { o.Routes[0].MX = true }, []string{"both mx and hosts"}},
		{"neither", func(o *outbound.Options) { o.Routes[0].Hosts = nil }, []string{"neither"}},
		{"no user", func(o *outbound.Options) { o.Routes[0].Auth = &outbound.Credentials{} }, []string{"without a user"}},
		{"recipients", func(o *outbound.Options) { o.RecipientsPerTransaction = 5000 }, []string{"5000"}},
		{"several", func(o *outbound.Options) {
			o.Routes[0].Hosts = []string{"a..b", "c:x"}
			o.DNS.Servers = []string{"resolver.test"}
		}, []string{`"a..b"`, `"c:x"`, `"resolver.test"`}},
	} {
		o := outbound.Options{Hostname: "relay.test", Routes: []outbound.Route{good}}
		tt.edit(&o)
		_, err := outbound.New(o)
		if err == nil {
			t.Errorf("%s: no error", tt.name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not speak of %q", tt.name, err, want)
			}
		}
	}
}

func TestTLSLevelText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]outbound.TLSLevel{
		"may": outbound.TLSMay, "none": outbound.TLSNone, "encrypt": outbound.TLSEncrypt, "required": outbound.TLSEncrypt, "verify": outbound.TLSVerify,
	} {
		var l outbound.TLSLevel
		if err := l.UnmarshalText([]byte(text)); err != nil || l != want {
			t.Errorf("%q = %v, %v, want %v", text, l, err, want)
		}
	}
	var l outbound.TLSLevel
	if err := l.UnmarshalText([]byte("maybe")); err == nil {
		t.Error(`"maybe" is a TLS level`)
	}
}

func TestCredentialsStaySecret(t *testing.T) {
	t.Parallel()
	c := outbound.Credentials{User: "u", Password: "secret"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{c, &c, outbound.Route{Auth: &c}} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, "secret") {
				t.Errorf("%s of %T shows %q", format, value, text)
			}
		}
	}
}
