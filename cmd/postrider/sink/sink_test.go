package sink

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// startSink runs a sink on a port of its own until the test ends. The function that is
// returned stops it sooner and gives the summary.
func startSink(t *testing.T, change func(*Options)) (addr string, stop func() Summary) {
	t.Helper()
	o := Options{
		Listen: "127.0.0.1:0", Hostname: "sink.test", Size: 1 << 20, Idle: time.Minute,
		Now: time.Now, Dice: func() float64 { return 0 },
	}
	if change != nil {
		change(&o)
	}
	sink, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sink.Run(ctx) }()
	stop = sync.OnceValue(func() Summary {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("sink ended with %v", err)
		}
		return sink.counters.summary()
	})
	t.Cleanup(func() { stop() })
	return sink.Addr().String(), stop
}

// talk plays a dialogue: lines beginning with "C: " are sent, several at once where they
// follow each other, those with "S: " are expected as regular expressions, "EOF" is the end.
func talk(t *testing.T, addr, dialogue string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	var out bytes.Buffer
	for line := range strings.SplitSeq(strings.TrimSpace(dialogue), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if text, ok := strings.CutPrefix(line, "C:"); ok {
			text = strings.TrimPrefix(text, " ")
			out.WriteString(strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(text) + "\r\n")
			continue
		}
		if _, err := conn.Write(out.Bytes()); err != nil {
			t.Fatalf("before %q: %v", line, err)
		}
		out.Reset()
		got, err := r.ReadString('\n')
		if line == "EOF" {
			if err == nil {
				t.Fatalf("got %q, want the end", got)
			}
			return
		}
		want := strings.TrimPrefix(line, "S: ")
		if ok, _ := regexp.MatchString("^"+want, got); !ok || err != nil {
			t.Fatalf("got %q (%v), want %q", got, err, want)
		}
	}
}

const hello = `
	S: 220 sink.test
	C: EHLO client.test
	S: 250-sink.test
	S: 250-PIPELINING
	S: 250-SIZE 1048576
	S: 250-8BITMIME
	S: 250-SMTPUTF8
	S: 250-DSN
	S: 250 ENHANCEDSTATUSCODES
`

func TestDialogue(t *testing.T) {
	t.Parallel()
	with := func(f fault) func(*Options) {
		f.chance = 1
		return func(o *Options) { o.Faults = Faults{f} }
	}
	const envelope = hello + `
		C: MAIL FROM:<a@example.com> SIZE=10
		C: RCPT TO:<b@example.net>
		C: DATA
		S: 250 2.1.0
		S: 250 2.1.5
		S: 354
	`
	tests := []struct {
		name     string
		change   func(*Options)
		dialogue string
		messages int64
	}{
		{name: "two messages in a session", messages: 2, dialogue: envelope + `
			C: Subject: x
			C:
			C: .
			S: 250 2.0.0 Ok: swallowed as 1
			C: mail from: <>
			S: 250
			C: rcpt to: <b@example.net>
			S: 250
			C: DATA
			S: 354
			C: .
			S: 250 2.0.0 Ok: swallowed as 2
			C: QUIT
			S: 221
			EOF`},
		{name: "only CRLF.CRLF ends the content", messages: 1, dialogue: envelope + `
			C: a\n.\nb\n.
			C: c\r.\rd\r.
			C: e
			C: .\nf
			C: .
			S: 250 2.0.0
			C: NOOP
			S: 250`},
		{name: "out of order", dialogue: hello + `
			C: RCPT TO:<b@example.net>
			S: 503
			C: DATA
			S: 503
			C: MAIL FROM:<a@example.com>
			S: 250
			C: MAIL FROM:<a@example.com>
			S: 503
			C: RSET
			S: 250
			C: MAIL FROM a@example.com
			S: 501
			C: STARTTLS
			S: 502
			C: FROBNICATE
			S: 500`},
		{name: "rejected recipient", change: with(fault{stage: stageRcpt, reply: "550 5.1.1 no such user"}), dialogue: hello + `
			C: MAIL FROM:<a@example.com>
			C: RCPT TO:<b@example.net>
			C: DATA
			S: 250
			S: 550 5.1.1 no such user
			S: 503`},
		{name: "421 closes", change: with(fault{stage: stageMail, reply: "421 4.3.2 later"}), dialogue: hello + `
			C: MAIL FROM:<a@example.com>
			S: 421 4.3.2 later
			EOF`},
		{name: "greeting refused", change: with(fault{stage: stageConnect, reply: "554 5.3.2 go away"}), dialogue: `
			S: 554 5.3.2 go away
			EOF`},
		{name: "dropped at the dot", change: with(fault{stage: stageDot, drop: true}), dialogue: envelope + `
			C: .
			EOF`},
		{name: "delayed", change: with(fault{stage: stageData, delay: time.Millisecond}), messages: 1, dialogue: envelope + `
			C: .
			S: 250`},
		{name: "too large", change: func(o *Options) { o.Size = 1048576; o.Keep = func(*Message) error { return nil } }, dialogue: envelope + `
			C: ` + strings.Repeat("x", 1<<20) + `
			C: .
			S: 552 5.3.4
			C: NOOP
			S: 250`},
		{name: "cannot keep it", change: func(o *Options) { o.Keep = func(*Message) error { return os.ErrPermission } }, dialogue: envelope + `
			C: .
			S: 451 4.3.0`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr, stop := startSink(t, tt.change)
			talk(t, addr, tt.dialogue)
			if got := stop().Messages; got != tt.messages {
				t.Errorf("%d messages counted, want %d", got, tt.messages)
			}
		})
	}
}

func TestEndsAfterCount(t *testing.T) {
	t.Parallel()
	sink, err := New(Options{Listen: "127.0.0.1:0", Hostname: "sink.test", Size: 1 << 20, Count: 1, Idle: time.Minute, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- sink.Run(context.Background()) }()
	talk(t, sink.Addr().String(), hello+`
		C: MAIL FROM:<a@example.com>
		C: RCPT TO:<b@example.net>
		C: DATA
		S: 250
		S: 250
		S: 354
		C: .
		S: 250 2.0.0
		S: 421 4.3.2
		EOF`)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := sink.counters.summary().Messages; got != 1 {
		t.Errorf("%d messages, want 1", got)
	}
}

func TestKeeps(t *testing.T) {
	t.Parallel()
	const content = "Subject: two\r\nMessage-ID: <m@x>\r\n\r\n.dot\r\n\r\n"
	var out, full bytes.Buffer
	dir := t.TempDir()
	folder, err := newFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	addr, stop := startSink(t, func(o *Options) {
		keepers := []func(*Message) error{
			(&printer{show: printFull, json: true, w: &out}).keep,
			(&printer{show: printHeaders, w: &full}).keep,
			folder.keep,
		}
		o.Keep = func(m *Message) error {
			for _, keep := range keepers {
				if err := keep(m); err != nil {
					return err
				}
			}
			return nil
		}
	})
	talk(t, addr, hello+`
		C: MAIL FROM:<a@example.com> SIZE=10
		C: RCPT TO:<b@example.net>
		C: RCPT TO:<c@example.net>
		C: DATA
		S: 250
		S: 250
		S: 250
		S: 354
		C: `+strings.NewReplacer("\r\n.", `\r\n..`, "\r", `\r`, "\n", `\n`).Replace(content)+`.
		S: 250`)
	stop()
	var got Message
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.Sender, got.Recipients, got.Parameters, got.MessageID) != "a@example.com[b@example.net c@example.net]SIZE=10<m@x>" || got.Content != content {
		t.Errorf("printed %+v", got)
	}
	for _, want := range []string{"  RCPT TO:<c@example.net>\n", "Subject: two\n"} {
		if !strings.Contains(full.String(), want) {
			t.Errorf("printed %q, want %q in it", full.String(), want)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v (%v), want one", files, err)
	}
	stored, err := os.ReadFile(files[0])
	if err != nil || !bytes.HasSuffix(stored, []byte(content)) || !bytes.HasPrefix(stored, []byte("X-Envelope-From: <a@example.com>\r\nX-Envelope-To: <b@")) {
		t.Errorf("stored %q (%v)", stored, err)
	}
}

// FuzzSession sends anything at all to a session: it must neither panic nor count a
// message that was not ended by CRLF.CRLF.
func FuzzSession(f *testing.F) {
	f.Add("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
	f.Add("MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\n.\nQUIT\r\n")
	f.Add("MAIL FROM:\r\nRCPT\r\nDATA\r\n\x00")
	f.Fuzz(func(t *testing.T, input string) {
		server, client := net.Pipe()
		s := &Server{o: Options{Size: 1 << 10, Idle: time.Minute, Now: time.Now, Keep: func(*Message) error { return nil }}}
		go func() {
			client.Write([]byte(input))
			client.Close()
		}()
		go bufio.NewReader(client).WriteTo(discard{})
		newSession(s, server).serve(context.Background())
		server.Close()
		// Where there is no content, the line end before the dot is that of DATA, and may be bare.
		ends := strings.Count(input, "\r\n.\r\n") + len(emptyContent.FindAllString(input, -1))
		if s.counters.messages.Load() > int64(ends) {
			t.Errorf("%d messages counted in %q", s.counters.messages.Load(), input)
		}
	})
}

var emptyContent = regexp.MustCompile(`(?i)data[^\n]*\n\.\r\n`)

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
