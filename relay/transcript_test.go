package relay_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"postrider/relay"
)

// notebook is where a test's transcript goes.
type notebook struct {
	bytes.Buffer
	closed bool
}

func (n *notebook) Close() error {
	n.closed = true
	return nil
}

func newTranscript() (*relay.Transcript, *notebook) {
	n := new(notebook)
	at := time.Date(2026, 11, 22, 4, 0, 0, 123e6, time.UTC)
	return relay.NewTranscript(n, func() time.Time { return at }, "s1"), n
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestTranscript(t *testing.T) {
	t.Parallel()
	const them, us = relay.Them, relay.Us
	tests := []struct {
		name string
		say  func(*relay.Transcript)
		want []string
	}{
		{"commands and replies", func(x *relay.Transcript) {
			x.Command(them, "ehlo client.test")
			x.Answers(us, []byte("250-relay.test\r\n250 SI"))
			x.Answers(us, []byte("ZE 10\r\n"))
			x.Command(them, "MAIL FROM:<a@b.test> SIZE=10")
			var l relay.Length
			l.Write([]byte("a: b\r\n\r\nc\n"))
			x.Content(them, l)
			x.End()
			x.End()
		}, []string{"<- ehlo client.test", "-> 250-relay.test", "-> 250 SIZE 10", "<- MAIL FROM:<a@b.test> SIZE=10", "<- (content: 10 bytes, 3 lines)", "** closed"}},
		{"PLAIN", func(x *relay.Transcript) {
			x.Command(them, "AUTH PLAIN "+b64("\x00ann\x00hunter2"))
			x.Answer(us, "535 5.7.8 hunter2 of ann is wrong")
		}, []string{"<- AUTH PLAIN (secret, 16 bytes)", "-> 535 5.7.8 (secret) of ann is wrong"}},
		{"LOGIN, a line each", func(x *relay.Transcript) {
			x.Command(us, "AUTH LOGIN")
			x.Answer(them, "334 VXNlcm5hbWU6")
			x.Secret(us, b64("anna"))
			x.Answer(them, "334 UGFzc3dvcmQ6")
			x.Secret(us, b64("hunter2"))
			x.Answer(them, "235 anna has hunter2, "+b64("hunter2"))
		}, []string{"-> AUTH LOGIN", "<- 334 (challenge, 12 bytes)", "-> (secret, 8 bytes)", "<- 334 (challenge, 12 bytes)", "-> (secret, 12 bytes)", "<- 235 anna has (secret), (secret)"}},
		{"XOAUTH2", func(x *relay.Transcript) {
			x.Command(us, "AUTH XOAUTH2 "+b64("user=a@b.test\x01auth=Bearer ya29.token\x01\x01"))
			x.Answer(them, "334 "+b64(`{"status":"400"}`))
			x.Secret(us, "")
			x.Answer(them, "535 ya29.token of a@b.test")
		}, []string{"-> AUTH XOAUTH2 (secret, 52 bytes)", "<- 334 (challenge, 24 bytes)", "-> ", "<- 535 (secret) of a@b.test"}},
		{"a cancelled exchange", func(x *relay.Transcript) { x.Secret(them, "*") }, []string{"<- *"}},
		{"what is no command", func(x *relay.Transcript) {
			x.Command(them, b64("hunter2"))
			x.Command(them, "AUTH "+b64("hunter2"))
			x.Command(them, "auth plain")
			x.Command(them, "")
		}, []string{"<- (12 bytes that are no command)", "<- AUTH (12 bytes that are no mechanism)", "<- AUTH plain", "<- (0 bytes that are no command)"}},
		{"what terminals obey", func(x *relay.Transcript) { x.Answer(them, "250 \x1b[2J\u202e\xff") }, []string{`<- 250 \x1b[2J\x202e` + "\ufffd"}},
		{"a long line", func(x *relay.Transcript) { x.Answer(them, strings.Repeat("x", 3000)) }, []string{"<- " + strings.Repeat("x", 2000) + " (and 1000 bytes more)"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			x, n := newTranscript()
			test.say(x)
			const prefix = "2026-11-22T04:00:00.123Z s1 "
			want := prefix + strings.Join(test.want, "\n"+prefix) + "\n"
			if got := n.String(); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if ended := strings.HasSuffix(want, "closed\n"); n.closed != ended {
				t.Errorf("closed is %v, want %v", n.closed, ended)
			}
		})
	}
}

// A session that nobody reads has no transcript, and says everything to it all the same.
func TestTranscriptNobody(t *testing.T) {
	var x *relay.Transcript
	bye := []byte("221 bye\r\n")
	n := testing.AllocsPerRun(10, func() {
		x.Command(relay.Us, "QUIT")
		x.Secret(relay.Us, "secret")
		x.Answer(relay.Them, "221 bye")
		x.Answers(relay.Us, bye)
		x.Content(relay.Us, relay.Length{})
		x.Note("closed")
		x.End()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever is said, a secret of AUTH is not in the transcript, nor is anything that moves a
// terminal's cursor.
func FuzzTranscript(f *testing.F) {
	f.Add("PLAIN", "AGFubgBodW50ZXIy", "535 AGFubgBodW50ZXIy")
	f.Add("x", " = ", "334 ")
	f.Fuzz(func(t *testing.T, mechanism, response, reply string) {
		const secret = "correct horse battery staple"
		x, n := newTranscript()
		x.Command(relay.Them, "AUTH "+mechanism+" "+response)
		x.Secret(relay.Them, b64("\x00ann\x00"+secret))
		x.Secret(relay.Them, b64("\x00ann\x00"+secret))
		x.Answers(relay.Us, []byte(reply))
		x.Answer(relay.Us, reply+secret+b64("\x00ann\x00"+secret))
		got := n.String()
		if strings.Contains(got, secret) || strings.Contains(got, b64("\x00ann\x00"+secret)) {
			t.Errorf("%q has the secret", got)
		}
		for line := range strings.Lines(got) {
			if strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x1b\r\n\x00\u0085") || !strings.HasPrefix(line, "2026-") {
				t.Errorf("%q is not fit for a terminal", line)
			}
		}
	})
}
