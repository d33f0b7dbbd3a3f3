package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLetter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const added = "From: <me@here.test>\r\nDate: Fri, 02 Jan 2026 03:04:05 +0000\r\nMessage-ID: <*@here.test>\r\n"
	for _, tt := range []struct{ name, input, want string }{
		{"nothing", "", added + "\r\n"},
		{"a header and a body", "Subject: hi\nX: y\n\nbody\n", "Subject: hi\r\nX: y\r\n" + added + "\r\nbody\n"},
		{"CRLF", "Subject: hi\r\n\r\nbody\r\n", "Subject: hi\r\n" + added + "\r\nbody\r\n"},
		{"a folded field", "Subject: a\n b\n\tc\n\nbody\n", "Subject: a\r\n b\r\n\tc\r\n" + added + "\r\nbody\n"},
		{"a body alone", "hello there\nbye\n", added + "\r\nhello there\nbye\n"},
		{"a body at once", "\nSubject: no\n", added + "\r\nSubject: no\n"},
		{"no empty line", "Subject: hi\nbody here\nmore\n", "Subject: hi\r\n" + added + "\r\nbody here\nmore\n"},
		{"a mailbox's line", "From a@b Mon Jan  1\nSubject: hi\n\nbody", "Subject: hi\r\n" + added + "\r\nbody"},
		{"a header alone", "Subject: hi", "Subject: hi\r\n" + added + "\r\n"},
		{"all there", "from: a@b\ndate: x\nmessage-id: y\n\n", "from: a@b\r\ndate: x\r\nmessage-id: y\r\n\r\n"},
		{"a dot", "\na\n.\nb\n", added + "\r\na\n"},
		{"a dot that is more", "\na\n..\n. \nb\n", added + "\r\na\n..\n. \nb\n"},
		{"a long line", "\n" + strings.Repeat("x", 9000) + ".\n.\nb", added + "\r\n" + strings.Repeat("x", 9000) + ".\n"},
	} {
		input := newMessageInput(strings.NewReader(tt.input), false)
		l, err := readLetter(input)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		l.complete("me@here.test", "", "here.test", now)
		rest, err := io.ReadAll(input)
		got := l.String() + string(rest)
		if i := strings.Index(got, "Message-ID: <"); i >= 0 { // by chance
			end := strings.IndexByte(got[i:], '@')
			got = got[:i] + "Message-ID: <*" + got[i+end:]
		}
		if err != nil || got != tt.want {
			t.Errorf("%s:\n%q (%v), want\n%q", tt.name, got, err, tt.want)
		}
	}
}

func TestLetterRecipients(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header string
		given  []string
		want   []string
		left   int
	}{
		{"To: a@x.test, B <b@x.test>\nCc: c@x.test\nBcc: d@x.test\n", nil, []string{"a@x.test", "b@x.test", "c@x.test", "d@x.test"}, 2},
		{"To: root\nCc: a@x.test, postmaster\n", []string{"z@x.test"}, []string{"z@x.test", "root", "a@x.test", "postmaster"}, 2},
		{"To: friends: a@x.test, b@x.test;\n", nil, []string{"a@x.test", "b@x.test"}, 1},
		{"To: \"last, first\" <a@x.test>,\n b@x.test\nBcc:\n", nil, []string{"a@x.test", "b@x.test"}, 1},
		{"To: a@x.test\nResent-To: b@x.test\nBcc: c@x.test\nResent-Bcc: d@x.test\n", nil, []string{"b@x.test", "d@x.test"}, 3},
		{"To: =?gb2312?B?1dU=?= <a@x.test>\nCc: J\xf6rg <b@x.test>, root\n", nil, []string{"a@x.test", "b@x.test", "root"}, 2},
		{"To: a@x.test\nCc: a@x.test\n", []string{"a@x.test"}, []string{"a@x.test"}, 2},
	} {
		l, err := readLetter(newMessageInput(strings.NewReader(tt.header+"\nbody"), true))
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.recipients(tt.given)
		if err != nil || !slices.Equal(got, tt.want) || len(l.fields) != tt.left {
			t.Errorf("%q: %q, %d fields (%v), want %q, %d fields", tt.header, got, len(l.fields), err, tt.want, tt.left)
		}
	}
	for _, header := range []string{"To: a b c\n", "Cc: <a@x.test\n"} {
		l, err := readLetter(newMessageInput(strings.NewReader(header), true))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := l.recipients(nil); err == nil {
			t.Errorf("%q: %q", header, got)
		}
	}
}

func FuzzLetter(f *testing.F) {
	f.Add("From a@b\nTo: a@x.test,\n b\n\nbody\n.\n")
	f.Add("Resent-To: x\r\nBcc: <y@z>\r\nbody")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := readLetter(newMessageInput(strings.NewReader(text), false))
		if err != nil {
			return
		}
		to, err := l.recipients(nil)
		if err != nil {
			return
		}
		for _, field := range l.fields {
			if fieldName(field) == "bcc" && !strings.Contains(strings.ToLower(text), "resent-") {
				t.Errorf("%q keeps %q", text, field)
			}
			if strings.Contains(strings.ReplaceAll(field, "\r\n ", ""), "\n") && !strings.Contains(field, "\r\n\t") {
				t.Errorf("%q has a field of two: %q", text, field)
			}
		}
		for _, a := range to {
			if address, err := qualified(a, "here.test"); err == nil && strings.ContainsAny(address, "\r\n") {
				t.Errorf("%q has the recipient %q", text, address)
			}
		}
	})
}

// The flags that programs give to sendmail are understood in all their forms.
func TestSendmailFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		want int
	}{
		{"-t -i", exitUsage},   // nobody is named in the empty message
		{"-ti -oi", exitUsage}, // the same
		{"-bs", exitUsage},
		{"-bp", exitUsage},
		{"-N often a@x.test", exitUsage},
		{"-R some a@x.test", exitUsage},
		{"--colour a@x.test", exitUsage},
		{"-f a@x..test a@x.test", exitData},
		{"-fme@x.test -FMe -oem -odi -om -bm -N success,failure -R hdrs -V id --server unix:/nowhere -- a@x.test", exitTemporary},
		{"-f <> --server unix:/nowhere a@x.test", exitTemporary},
		{"-rme@x.test --server unix:/nowhere root", exitTemporary},
	} {
		root := newRootCommand()
		root.SetArgs(append([]string{"sendmail"}, strings.Fields(tt.args)...))
		root.SetIn(strings.NewReader(""))
		if got := execute(root, io.Discard); got != tt.want {
			t.Errorf("%s: exit code %d, want %d", tt.args, got, tt.want)
		}
	}
}

func TestAsSendmail(t *testing.T) {
	t.Parallel()
	if got, want := asSendmail([]string{"/usr/sbin/sendmail", "-t"}), []string{"sendmail", "-t"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := asSendmail([]string{"/usr/bin/postrider", "-t"}); got != nil {
		t.Errorf("got %q by another name", got)
	}
}
