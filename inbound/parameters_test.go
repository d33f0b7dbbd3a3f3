package inbound

import (
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

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

// readMail reads a command as the session does: the loop first, and then the transaction.
func readMail(argument string) (mailCommand, relay.Address, *smtp.SMTPError) {
	m, refused := parseMail(argument, "")
	if refused != nil {
		return m, relay.Address{}, refused
	}
	sender, refused := parsePath(m.from, m.UTF8, &replySender)
	return m, sender, refused
}

func FuzzMail(f *testing.F) {
	f.Add("FROM:<a@example.com> SIZE=1 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=FULL ENVID=a+2Bb AUTH=<> MT-PRIORITY=-3")
	f.Add(`from: <@a,@b:"x\" y"@[IPv6:::1]>`)
	f.Add("FROM:postmaster SMTPUTF8")
	f.Fuzz(func(t *testing.T, argument string) {
		m, sender, refused := readMail(argument)
		if refused != nil {
			if refused.Code/100 != 5 {
				t.Errorf("%q: %s", argument, refused)
			}
			return
		}
		if _, again, refused := readMail("FROM:<" + sender.String() + "> SMTPUTF8"); refused != nil || again != sender {
			t.Errorf("%q: %+v does not survive being written: %+v, %v", argument, sender, again, refused)
		}
		if m.Size < 0 || len(m.EnvelopeID) > 100 || strings.ContainsAny(m.EnvelopeID, "\r\n") || m.priority < -9 || m.priority > 9 {
			t.Errorf("%q: %+v", argument, m)
		}
	})
}

func FuzzRcpt(f *testing.F) {
	f.Add("TO:<a@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@example.com", false)
	f.Add(`TO:<ö@bücher.example> ORCPT=utf-8;\x{F6}@example.com NOTIFY=NEVER`, true)
	f.Fuzz(func(t *testing.T, argument string, utf8 bool) {
		r, refused := parseRcpt(argument, "")
		if refused != nil {
			return
		}
		address, refused := parsePath(r.to, utf8, &replyRecipient)
		if refused != nil {
			return
		}
		if address.IsNull() || !utf8 && !address.IsASCII() {
			t.Errorf("%q: address %+v", argument, address)
		}
		if set := notify(r.Notify); set&relay.NotifyNever != 0 && set != relay.NotifyNever || set == 0 && len(r.Notify) > 0 {
			t.Errorf("%q: %q was made %b", argument, r.Notify, set)
		}
	})
}
