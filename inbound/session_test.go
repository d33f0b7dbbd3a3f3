package inbound_test

import (
	"context"
	"io"
	"iter"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postrider/inbound"
)

// replyLine is what each line of a reply must look like.
var replyLine = regexp.MustCompile(`^[2345][0-9][0-9][ -][^\r\n]*$`)

// FuzzSession sends anything to a session. It must end, without a panic, and every line it
// says must be one of a reply.
func FuzzSession(f *testing.F) {
	for _, d := range dialogues {
		var send strings.Builder
		send.WriteString("EHLO client.example\r\n")
		for line := range strings.SplitSeq(d.script, "\n") {
			if text, ok := strings.CutPrefix(strings.TrimLeft(line, "\t"), "C:"); ok {
				send.WriteString(strings.TrimPrefix(text, " ") + "\r\n")
			}
		}
		f.Add([]byte(send.String()))
	}
	f.Add([]byte("EHLO x\r\nAUTH LOGIN\r\nYW5u\r\n*\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n..\r\n.\r\nQUIT\r\n"))
	f.Add([]byte("HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\ndeBDAT 99999999 LAST\r\nx"))
	f.Add([]byte("EHLO x\r\nXCLIENT ADDR=192.0.2.1 LOGIN=bob\r\nEHLO x\r\nMAIL FROM:<bob@example.com> SIZE=99999999999999999999\r\nBDAT 0 LAST\r\nSTARTTLS\r\nVRFY x\r\n"))
	at := newPipes()
	h := newHouse(f)
	h.options.Limits.Errors = 1000
	h.options.Limits.MessageSize = 1000
	h.options.Listeners[0].Auth = inbound.AuthOptional
	h.options.Users.File = usersFile(f)
	h.openAt(at)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { h.ended <- h.server.Run(ctx) }()
	f.Cleanup(func() { cancel(); <-h.ended })
	f.Fuzz(func(t *testing.T, input []byte) {
		converse(t, at, strings.SplitAfterSeq(string(input), "\n"))
		converse(t, at, slices.Values([]string{string(input)}))
		for _, fault := range h.observer.AllFaults() {
			t.Errorf("%s: %v", fault.Doing, fault.Err)
		}
	})
}

// converse sends one piece after another, a command each as clients that wait for replies do or all
// at once, and reads until the server has nothing more to say.
func converse(t *testing.T, at *pipes, pieces iter.Seq[string]) {
	ours, theirs := net.Pipe()
	at.conns <- theirs
	said := make(chan string)
	go func() {
		text, _ := io.ReadAll(ours)
		said <- string(text)
	}()
	for piece := range pieces {
		if _, err := io.WriteString(ours, piece); err != nil {
			break
		}
	}
	theirs.Close() // the server meets the end of the connection
	ours.Close()
	text := strings.TrimSuffix(<-said, "\r\n")
	for line := range strings.SplitSeq(text, "\r\n") {
		if text != "" && !replyLine.MatchString(line) {
			t.Errorf("%q was said", line)
		}
	}
}
