package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// dialogue sends commands and a message, each of which must have the answer that goes with it.
func dialogue(t *testing.T, addr string, commands []string, content string) {
	t.Helper()
	c, err := textproto.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	expect := func(what string, code int) {
		t.Helper()
		if _, text, err := c.ReadResponse(code); err != nil {
			t.Fatalf("%s: %s (%v)", what, text, err)
		}
	}
	expect("greeting", 220)
	for _, command := range commands {
		if err := c.PrintfLine("%s", command); err != nil {
			t.Fatal(err)
		}
		expect(command, 250)
	}
	if err := c.PrintfLine("DATA"); err != nil {
		t.Fatal(err)
	}
	expect("DATA", 354)
	w := c.DotWriter()
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	expect("the message", 250)
}

// exportedFiles are the files of a directory that an export wrote, by name.
func exportedFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// exotic is what each message of exotics must have in its record.
type exotic struct {
	name     string
	commands []string
	content  string
	want     []string
}

func exotics() []exotic {
	const text = "Subject: x\r\n\r\ntext\r\n"
	return []exotic{
		{"8bit", []string{"EHLO c.test", "MAIL FROM:<ann@one.test> BODY=8BITMIME", "RCPT TO:<bob@two.test>"}, "Subject: x\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\xe9 \xff\r\n", []string{`"eight_bit": true`}},
		{"smtputf8", []string{"EHLO c.test", "MAIL FROM:<änne@one.test> SMTPUTF8 BODY=8BITMIME", "RCPT TO:<böb@two.test>"}, "Subject: grüße\r\n\r\n日本\r\n", []string{`"smtputf8": true`, "böb@two.test", "änne@one.test"}},
		{"dsn", []string{"EHLO c.test", "MAIL FROM:<ann@one.test> RET=HDRS ENVID=QQ314159", "RCPT TO:<bob@two.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob@two.test", "RCPT TO:<cid@two.test> NOTIFY=NEVER"}, text, []string{"QQ314159", `"notify"`, "Bob@two.test", `"return"`}},
		{"priority", []string{"EHLO c.test", "MAIL FROM:<ann@one.test> MT-PRIORITY=-4", "RCPT TO:<bob@two.test>"}, text, []string{`"priority": -4`}},
		{"held", []string{"EHLO c.test", "MAIL FROM:<held@one.test>", "RCPT TO:<bob@two.test>"}, text, []string{`"held": "look at it`, `"held_since"`}},
		{"tagged", []string{"EHLO c.test", "MAIL FROM:<tagged@one.test>", "RCPT TO:<bob@two.test>"}, text, []string{`"tags"`, `"bulk"`, `"trace"`}},
		{"null sender", []string{"EHLO c.test", "MAIL FROM:<>", "RCPT TO:<bob@two.test>"}, text, []string{`"sender": ""`}},
		{"dots", []string{"EHLO c.test", "MAIL FROM:<ann@one.test>", "RCPT TO:<bob@two.test>"}, "Subject: x\r\n\r\n.\r\n..\r\n.dot\r\n", nil},
	}
}

// Whatever a message is made of, it is in another relay as it was in the first, byte for byte; the
// journal says who brought how many, and why.
func TestExportAll(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	rules := `rules:
  - {name: keep, at: mail, when: 'sender.local == "held"', hold: look at it}
  - {name: mark, at: mail, when: 'sender.local == "tagged"', tag: [bulk]}
`
	first := startRelay(t, ctx, nowhere()+rules)
	for _, e := range exotics() {
		dialogue(t, first.Addr(), e.commands, e.content)
	}
	n := len(exotics())
	one, two, three := filepath.Join(folder(t), "one"), filepath.Join(folder(t), "two"), filepath.Join(folder(t), "three")
	says(t, ctx, first, fmt.Sprintf("%d messages exported", n), "queue", "export", one)

	second := startRelay(t, ctx, nowhere())
	says(t, ctx, second, fmt.Sprintf("%d messages imported; 0 are here", n), "queue", "import", one, "--reason", "the old host goes", "--author", "anna")
	says(t, ctx, second, fmt.Sprintf("0 messages imported; %d are here", n), "queue", "import", one)
	me := userName(t)
	says(t, ctx, second, fmt.Sprintf("import   %d messages and 0 that were known, by %s (given as anna): the old host goes", n, me), "journal")
	says(t, ctx, second, fmt.Sprintf("import   0 messages and %d that were known, by %s: no reason given", n, me), "journal")
	second.Kill()
	says(t, ctx, second, fmt.Sprintf("%d messages exported", n), "queue", "export", two)
	sameMail(t, exportedFiles(t, one), exportedFiles(t, two))

	third := startRelay(t, ctx, nowhere())
	third.Kill() // messages are brought to a relay that does not run as well
	says(t, ctx, third, fmt.Sprintf("%d messages imported", n), "queue", "import", two, "--reason", "on its way")
	start(t, ctx, third)
	says(t, ctx, third, fmt.Sprintf("import   %d messages and 0 that were known, by %s: on its way", n, me), "journal")
	says(t, ctx, third, fmt.Sprintf("%d messages exported", n), "queue", "export", three)
	sameMail(t, exportedFiles(t, one), exportedFiles(t, three))
	holdsExotics(t, exportedFiles(t, three))
	sendsExotics(t, third)
}

// sameMail wants the same files, but for what tries have changed.
func sameMail(t *testing.T, want, got map[string][]byte) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d files, want %d", len(got), len(want))
	}
	for name, text := range want {
		if strings.HasSuffix(name, ".json") {
			var a, b map[string]any
			if err := json.Unmarshal(text, &a); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(got[name], &b); err != nil {
				t.Fatal(err)
			}
			if a, b := fmt.Sprint(a), fmt.Sprint(b); a != b {
				t.Errorf("%s is\n%s, was\n%s", name, b, a)
			}
		} else if !bytes.Equal(text, got[name]) {
			t.Errorf("%s is %q, was %q", name, got[name], text)
		}
	}
}

// holdsExotics wants one message for each of them.
func holdsExotics(t *testing.T, files map[string][]byte) {
	t.Helper()
	for _, e := range exotics() {
		found := false
		_, body, _ := strings.Cut(e.content, "\r\n\r\n")
		for name, text := range files {
			id, isRecord := strings.CutSuffix(name, ".json")
			has := isRecord && strings.HasSuffix(string(files[id+".eml"]), "\r\n\r\n"+body)
			for _, want := range e.want {
				has = has && strings.Contains(string(text), want)
			}
			found = found || has
		}
		if !found {
			t.Errorf("%s: no message has %q and its body", e.name, e.want)
		}
	}
}

// sendsExotics wants what is not held to be delivered by the relay that it was brought to.
func sendsExotics(t *testing.T, r *integration.Relay) {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	leadTo(t, r, sink)
	r.Kill()
	start(t, ctx, r)
	err := sink.Await(ctx, "all that is not held", func(all []integration.Received) bool { return len(all) == len(exotics())-1 })
	if err != nil {
		t.Fatal(err)
	}
	says(t, ctx, r, "1 delivery released", "queue", "release", "--state", "held", "--reason", "it is fine")
	err = sink.Await(ctx, "what was held", func(all []integration.Received) bool { return len(all) == len(exotics()) })
	if err != nil {
		t.Fatal(err)
	}
}
