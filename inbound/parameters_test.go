package inbound

import (
	"strings"
	"testing"

	"postrider/relay"
)

func TestCutPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		argument, path, rest string
		ok                   bool
	}{
		{"TO:<a@b>", "a@b", "", true},
		{"to: <a@b> X=1 Y", "a@b", " X=1 Y", true},
		{"TO:<>", "", "", true},
		{"TO:a@b X", "a@b", "X", true},
		{`TO:<"a>\"b"@c> X`, `"a>\"b"@c`, " X", true},
		{"TO:<@x,@y:a@b>", "a@b", "", true},
		{"TO:<@x:>", "", "", false},
		{"TO:<@x>", "", "", false},
		{"TO:<a@b>X", "", "", false},
		{"TO:<a@b", "", "", false},
		{`TO:<"a@b>`, "", "", false},
		{"TO:", "", "", false},
		{"TO", "", "", false},
		{"FROM:<a@b>", "", "", false},
	} {
		path, rest, ok := cutPath(test.argument, "TO:")
		if ok != test.ok || ok && (path != test.path || rest != test.rest) {
			t.Errorf("%q: got %q, %q, %t; want %q, %q, %t", test.argument, path, rest, ok, test.path, test.rest, test.ok)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		decode     func(string) (string, bool)
		text, want string
		ok         bool
	}{
		{decodeXtext, "plain", "plain", true},
		{decodeXtext, "a+2Bb+3D", "a+b=", true},
		{decodeXtext, "a+20b", "a b", true},
		{decodeXtext, "a+", "", false},
		{decodeXtext, "a+2", "", false},
		{decodeXtext, "a+zz", "", false},
		{decodeXtext, "a++1", "", false},
		{decodeXtext, "a+0Ab", "", false},
		{decodeXtext, "ö", "", false},
		{decodeUnitext, `a\x{F6}b`, "aöb", true},
		{decodeUnitext, "aöb", "aöb", true},
		{decodeUnitext, `a\x{1F4EC}`, "a📬", true},
		{decodeUnitext, `a\x{D800}`, "", false},
		{decodeUnitext, `a\x{0A}`, "", false},
		{decodeUnitext, `a\x{F6`, "", false},
		{decodeUnitext, `a\x{}`, "", false},
		{decodeUnitext, `a\x{110000}`, "", false},
	} {
		got, ok := test.decode(test.text)
		if ok != test.ok || ok && got != test.want {
			t.Errorf("%q: got %q, %t; want %q, %t", test.text, got, ok, test.want, test.ok)
		}
	}
}

func FuzzMail(f *testing.F) {
	f.Add("FROM:<a@example.com> SIZE=1 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=FULL ENVID=a+2Bb AUTH=<>")
	f.Add(`from: <@a,@b:"x\" y"@[IPv6:::1]>`)
	f.Add("FROM:postmaster SMTPUTF8")
	f.Fuzz(func(t *testing.T, argument string) {
		m, reply := parseMail(argument, "")
		if reply != nil {
			if reply.Code/100 != 5 {
				t.Errorf("%q: %s", argument, reply)
			}
			return
		}
		again, reply := parseMail("FROM:<"+m.envelope.Sender.String()+"> SMTPUTF8", "")
		if reply != nil || again.envelope.Sender != m.envelope.Sender {
			t.Errorf("%q: %+v does not survive being written: %+v, %v", argument, m.envelope.Sender, again.envelope.Sender, reply)
		}
		if m.size < 0 || len(m.envelope.EnvelopeID) > 100 || strings.ContainsAny(m.envelope.EnvelopeID, "\r\n") {
			t.Errorf("%q: %+v", argument, m)
		}
	})
}

func FuzzRcpt(f *testing.F) {
	f.Add("TO:<a@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@example.com", false)
	f.Add(`TO:<ö@bücher.example> ORCPT=utf-8;\x{F6}@example.com NOTIFY=NEVER`, true)
	f.Fuzz(func(t *testing.T, argument string, utf8 bool) {
		r, reply := parseRcpt(argument, "", utf8)
		if reply != nil {
			return
		}
		if r.Address.IsNull() || !utf8 && !r.Address.IsASCII() {
			t.Errorf("%q: address %+v", argument, r.Address)
		}
		if r.Notify&relay.NotifyNever != 0 && r.Notify != relay.NotifyNever {
			t.Errorf("%q: NEVER was combined: %b", argument, r.Notify)
		}
	})
}
