package policy

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func FuzzHeaderValue(f *testing.F) {
	f.Add([]byte("Subject: a\r\n b\r\n\r\n"), "subject")
	f.Add([]byte("\n: \n\t:"), "")
	f.Fuzz(func(t *testing.T, header []byte, name string) {
		if got := headerValue(header, name); strings.ContainsAny(got, "\r\n") && !strings.Contains(string(header), "=?") {
			t.Errorf("%q in the value", got)
		}
	})
}

func FuzzGlob(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add("**", "")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if glob(pattern, s) && !glob("*"+pattern+"*", s) {
			t.Errorf("%q matches %q, but not with stars around it", pattern, s)
		}
		if !strings.ContainsAny(s, "*?") && !glob(s, s) {
			t.Errorf("%q does not match itself", s)
		}
	})
}

func FuzzCompile(f *testing.F) {
	f.Add(`cidr(client.ip, "10.0.0.0/8") and domainIn(sender.domain, ".x") or size > mb(2)`, uint8(3))
	f.Add("a\n.b", uint8(0))
	f.Fuzz(func(t *testing.T, text string, at uint8) {
		p := &Policy{lists: make(map[string]*list), meters: NewMeters(), now: time.Now}
		_, err := p.compileTest(text, stage(at)%stages)
		if fault, ok := errors.AsType[*FieldError](err); ok && strings.Contains(fault.Err.Error(), "\n") {
			t.Errorf("the fault has several lines: %q", fault.Err)
		}
	})
}

func FuzzParseReply(f *testing.F) {
	f.Add("552 5.3.4 too large", true)
	f.Fuzz(func(t *testing.T, text string, permanent bool) {
		class := map[bool]int{true: 5, false: 4}[permanent]
		r, err := parseReply(text, class)
		if err == nil && (r.Code/100 != class || r.Enhanced[0] != class || r.Text == "" || strings.ContainsAny(r.Text, "\r\n")) {
			t.Errorf("%q became %v", text, r)
		}
	})
}
