package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const explained = `
hostname: relay.example.com
listen:
  - {name: app, address: "127.0.0.1:0", allow: ["127.0.0.0/8"]}
rules:
  - {name: shut, at: connect, when: 'client.ip == "127.0.0.9"', reject: "554 5.7.1 go away"}
  - {name: bad, at: rcpt, when: 'recipient.local == "bad"', reject: "550 5.7.1 no"}
  - {name: bulk, at: data, when: 'header("List-Unsubscribe") != ""', tag: [bulk], flow: news, priority: -3}
  - {name: spam, at: data, when: 'subject contains "spam"', hold: smells}
  - {name: big, at: data, when: 'subject == "big"', reject: "552 5.3.4 too large"}
  - {name: drop, at: rcpt, when: 'recipient.local == "void"', discard: true}
routes:
  - {name: bulk, when: '"bulk" in tags', hosts: ["127.0.0.1:2600"]}
  - {name: main, hosts: ["127.0.0.1:2601"], auth: {user: app-account, password: secret, plain: true}}
`

// command runs the program and gives what it prints.
func command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func explainConfig(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(name, []byte(explained), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestExplain(t *testing.T) {
	t.Parallel()
	config := explainConfig(t)
	letter := filepath.Join(t.TempDir(), "m.eml")
	if err := os.WriteFile(letter, []byte("From: a@b.example\nList-Unsubscribe: x\nSubject: no spam\n\nhi\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command(t, "explain", "--config", config, "--from", "a@b.example", "--to", "c@d.example", "--to", "bad@d.example", "--to", "void@d.example", "--message", letter, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var e explanation
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(e.Reply, "250 ") || len(e.Refused) != 1 || !slices.Equal(e.Discarded, []string{"void@d.example"}) || len(e.Deliveries) != 1 {
		t.Fatalf("got %+v", e)
	}
	d := e.Deliveries[0]
	if d.Destination != "bulk" || d.Flow != "news" || d.Held != "smells" || !slices.Equal(d.Hosts, []string{"[127.0.0.1]:2600"}) {
		t.Errorf("got %+v", d)
	}
	if want := (ruleView{Stage: "data", Rule: "big"}); !slices.Contains(e.Rules, want) {
		t.Errorf("the rules %+v lack one that does not match", e.Rules)
	}
	out, err = command(t, "explain", "--config", config, "--from", "a@b.example", "--to", "c@d.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"bad <c@d.example>: does not match", "credentials of: app-account", "hosts: [127.0.0.1]:2601", "TLS now: 127.0.0.1: ", "Answer to DATA: 250"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "secret") {
		t.Error("a password is shown")
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--client", "127.0.0.9"}, "Answer to CONNECT: 554 5.7.1 go away"},
		{[]string{"--client", "192.0.2.1"}, "Answer to RCPT: 554 5.7.1 <c@d.example>: Relay access denied"},
		{[]string{"--client", "192.0.2.1", "--user", "ann"}, "Answer to DATA: 250"},
	} {
		out, err := command(t, append([]string{"explain", "--offline", "--config", config, "--from", "a@b.example", "--to", "c@d.example"}, tt.args...)...)
		if err != nil || !strings.Contains(out, tt.want) {
			t.Errorf("%q: got %v\n%s", tt.args, err, out)
		}
	}
}

// A route that only holds says where its mail goes once it is released.
func TestExplainHeld(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "c.yaml")
	text := strings.Replace(explained, "routes:\n", "routes:\n  - {name: look, when: 'recipient.local == \"odd\"', hold: true}\n", 1)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command(t, "explain", "--offline", "--config", name, "--from", "a@b.example", "--to", "odd@d.example")
	if err != nil || !strings.Contains(out, "To main:") || !strings.Contains(out, "held: route look") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The listener and the users file have their say before the rules have theirs.
func TestExplainUsers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "c.yaml")
	text := strings.Replace(explained, "rules:\n", "  - {name: submission, address: '127.0.0.1:0', auth: required, submission: true, limits: {message_size: 5kB}}\nusers: {file: users, from_header: true}\nrules:\n", 1)
	const line = "shop:$2a$04$4Pb5nUwJIFIxQPrfnS6WFuXlEbB8q0n9cYrZ3eD8O2Lr1Y6cL0w6K:@shop.example\n"
	for file, text := range map[string]string{name: text, filepath.Join(dir, "users"): line} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	letter := filepath.Join(dir, "m.eml")
	if err := os.WriteFile(letter, []byte("From: boss@other.example\n\nhi\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"--from", "a@shop.example"}, []string{"Answer to MAIL: 530 5.7.0"}},
		{[]string{"--from", "a@other.example", "--user", "shop"}, []string{"Answer to MAIL: 5"}},
		{[]string{"--from", "a@shop.example", "--user", "shop"}, []string{"Answer to DATA: 250", "messages of 5000 bytes"}},
		{[]string{"--from", "a@shop.example", "--user", "shop", "--message", letter}, []string{"Answer to DATA: 5"}},
		{[]string{"--from", "a@other.example", "--user", "someone"}, []string{"Answer to DATA: 250"}},
	} {
		out, err := command(t, append([]string{"explain", "--offline", "--config", name, "--listener", "submission", "--to", "c@d.example"}, tt.args...)...)
		for _, want := range tt.want {
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("%q: got %v, want %s in\n%s", tt.args, err, want, out)
			}
		}
	}
}

func TestCheckTests(t *testing.T) {
	t.Parallel()
	config := explainConfig(t)
	file := filepath.Join(t.TempDir(), "tests.yaml")
	check := func(text string) (string, error) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return command(t, "check", "--config", config, "--tests", file)
	}
	out, err := check("tests:\n  - {name: a, from: a@b.example, to: [c@d.example], expect: {reply: '250', destinations: [main], recipients: [c@d.example]}}\n" +
		"  - {name: b, from: a@b.example, to: [bad@d.example], expect: {reply: '550 5.7.1 no', rules: [bad]}}\n" +
		"  - name: c\n    from: a@b.example\n    to: [c@d.example]\n    message: |\n      Subject: big\n\n      x\n    expect: {reply: '552', rules: [big]}\n")
	if err != nil || !strings.Contains(out, "3 expectations, 0 not met") {
		t.Errorf("got %v\n%s", err, out)
	}
	out, err = check("tests:\n  - {name: wrong, from: a@b.example, to: [c@d.example], expect: {reply: '550', destinations: [bulk], tags: [x], held: y}}\n")
	if err == nil {
		t.Error("expectations that are not met are no error")
	}
	for _, want := range []string{"FAIL wrong", "reply: got 250 2.0.0 Ok, want 550", "destinations: got [main], want [bulk]", "tags: got [], want [x]", "held:"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if _, err := check("tests:\n  - {nam: x}\n"); err == nil {
		t.Error("an unknown key is no error")
	}
}
