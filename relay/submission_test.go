package relay

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// completed is what a submission's header becomes.
func completed(header string, e Envelope) *Message {
	m := &Message{
		ID: IDAt(time.Unix(1e9, 0)), Envelope: e, Header: []byte(header), Size: int64(len(header)) + 10,
		Received: time.Unix(1e9, 0).UTC(),
	}
	m.complete("relay.test")
	return m
}

const (
	addedDate = "Date: Sun, 09 Sep 2001 01:46:40 +0000\r\n"
	addedFrom = "From: <a@example.com>\r\n"
	addedID   = "Message-ID: <00X3AAA4000000000000000000@relay.test>\r\n"
)

// What a mail program left out is added, and Bcc goes (I09).
func TestSubmissionFields(t *testing.T) {
	t.Parallel()
	sender := Envelope{Sender: Address{"a", "example.com"}}
	for name, tt := range map[string]struct {
		in, want string
		envelope Envelope
	}{
		"nothing":   {"\r\n", addedDate + addedFrom + addedID + "\r\n", sender},
		"all there": {"date: x\r\nFROM: b@c\r\nMessage-Id : <y@z>\r\n\r\n", "date: x\r\nFROM: b@c\r\nMessage-Id : <y@z>\r\n\r\n", sender},
		"null sender": {"Date: x\r\nMessage-ID: <y@z>\r\n\r\n",
			"From: <MAILER-DAEMON@relay.test>\r\nDate: x\r\nMessage-ID: <y@z>\r\n\r\n", Envelope{}},
		"postmaster": {"Date: x\r\nMessage-ID: <y@z>\r\n\r\n",
			"From: <postmaster@relay.test>\r\nDate: x\r\nMessage-ID: <y@z>\r\n\r\n", Envelope{Sender: Address{Local: "postmaster"}}},
		"Bcc": {"Date: x\r\nBCC: secret@c,\r\n other@c\r\nFrom: b@c\r\nbcc : d@e\r\nMessage-ID: <y@z>\r\nResent-Bcc: f@g\r\n\r\n",
			"Date: x\r\nFrom: b@c\r\nMessage-ID: <y@z>\r\n\r\n", sender},
	} {
		m := completed(tt.in, tt.envelope)
		if got := string(m.Header); got != tt.want {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, tt.want)
		}
		if got, want := m.Size, int64(len(tt.want))+10; got != want {
			t.Errorf("%s: size %d, want %d", name, got, want)
		}
	}
}

// What may stay hidden is the client, not who took the message, how and when.
func TestHiddenClient(t *testing.T) {
	t.Parallel()
	m := &Message{Received: time.Unix(1e9, 0).UTC(), Origin: Origin{Client: netip.MustParseAddr("192.0.2.7"), Greeting: "secret.example", TLS: "TLSv1.3", Protocol: "ESMTPSA"}}
	want := "Received: (using TLSv1.3)\r\n\tby relay.test (Postrider) with ESMTPSA id " + m.ID.String() + ";\r\n\tSun, 09 Sep 2001 01:46:40 +0000\r\n"
	if got := received("relay.test", m, true); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := received("relay.test", m, false); !strings.HasPrefix(got, "Received: from secret.example ([192.0.2.7])\r\n\t(using TLSv1.3)\r\n\tby ") {
		t.Errorf("got %q", got)
	}
}

func TestQualify(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"root":                     "root@relay.test",
		"root, a@b, bob":           "root@relay.test, a@b, bob@relay.test",
		"Charlie Root <root>":      "Charlie Root <root@relay.test>",
		"\"a, b\" <root>, <x@y>":   "\"a, b\" <root@relay.test>, <x@y>",
		"root (Charlie, (really))": "root@relay.test (Charlie, (really))",
		"a\r\n ,b\r\n\t, c@d":      "a@relay.test\r\n ,b@relay.test\r\n\t, c@d",
		"\"a \\\" b\"":             "\"a \\\" b\"@relay.test",
		"friends: a, b@c;, d":      "friends: a@relay.test, b@c;, d@relay.test",
		"undisclosed-recipients:;": "undisclosed-recipients:;",
		"a@[IPv6:2001:db8::1], b":  "a@[IPv6:2001:db8::1], b@relay.test",
		"<@one,@two:a@b>":          "<@one,@two:a@b>",
		"two words":                "two words",
		"<>":                       "<>",
		"":                         "",
	} {
		field := "To: " + in + "\r\n"
		if got := string(qualify([]byte(field), len("to"), "relay.test")); got != "To: "+want+"\r\n" {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// FuzzSubmission: whatever the header says, what is there stays, save for Bcc, and the
// section still ends with its empty line.
func FuzzSubmission(f *testing.F) {
	for _, seed := range []string{"To: root\n", "From: a <b>, \"c\" <d>\nBcc: e\n f\n", "Cc: (((\n", "To: <\n", "From: [\n", "To: \"\\\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		header, _, _, err := taken(strings.NewReader(text+"\n\n"), 1<<20)
		if err != nil {
			t.Skip()
		}
		m := completed(header, Envelope{})
		got := string(m.Header)
		if !strings.HasSuffix(got, "\r\n") || strings.Contains(strings.ToLower(got), "\nbcc:") && !strings.Contains(header, "\n ") {
			t.Errorf("%q became %q", header, got)
		}
		for c := range strings.FieldsSeq("Date From Message-ID") {
			if m.Field(c) == "" && !strings.Contains(strings.ToLower(header), strings.ToLower(c)) {
				t.Errorf("%q became %q, without %s", header, got, c)
			}
		}
	})
}

func strictly(r io.Reader) error {
	c := &content{body: io.Discard, limit: 1 << 20, header: headerOf(1 << 10), lines: lineEnds{strict: true}}
	c.header.strict = true
	return c.copyFrom(r)
}

// A strict listener refuses bare line ends and headers that are not closed, wherever the reads are cut
// (I07, I08).
func TestStrict(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]error{
		"A: 1\r\n\r\none\r\ntwo\r\n": nil,
		"A: 1\r\n\r\none\ntwo\r\n":   errBareLineEnd,
		"A: 1\n\r\none\r\n":          errBareLineEnd,
		"A: 1\r\n\r\none\rtwo\r\n":   errBareLineEnd,
		"A: 1\r\n\r\none\r\r\n":      errBareLineEnd,
		"A: 1\r\n\r\none\r":          errBareLineEnd,
		"A: 1\r\n\r\none":            nil,
		"A: 1\r\nB:\r\n":             nil,
		"A: 1\r\none\r\n":            errNoField,
		"one\r\n\r\ntwo\r\n":         errNoField,
		" folded\r\nA: 1\r\n":        errNoField,
		"From a Sat\r\nA: 1\r\n":     errNoField,
	} {
		for cut, r := range map[string]func() error{
			"whole": func() error { return strictly(strings.NewReader(in)) },
			"bytes": func() error { return strictly(iotest.OneByteReader(strings.NewReader(in))) },
		} {
			if err := r(); !errors.Is(err, want) {
				t.Errorf("%q, %s: got %v, want %v", in, cut, err, want)
			}
		}
	}
}

// What is not closed is left as it is: nothing is put behind the end of a field.
func TestSubmissionUnclosed(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"To: \"abc\r\nFrom: b@c\r\nDate: x\r\nMessage-ID: <y@z>\r\n\r\n",
		"Date: x\r\nMessage-ID: <y@z>\r\nFrom: b@c\r\nTo: [abc\r\n\r\n",
		"Date: x\r\nMessage-ID: <y@z>\r\nFrom: b@c\r\nTo: \"abc\\\r\n\r\n",
	} {
		if got := string(completed(in, Envelope{Sender: Address{"a", "example.com"}}).Header); got != in {
			t.Errorf("%q became %q", in, got)
		}
	}
}
