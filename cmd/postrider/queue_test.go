package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/relay/admin"
)

func TestSelectFlags(t *testing.T) {
	t.Parallel()
	f := selectFlags{older: "1d12h", younger: "90m", larger: "500kB", smaller: "10MiB", selection: admin.Selection{Sender: "a@*"}}
	s, err := f.parse([]string{"01X"})
	want := admin.Selection{Sender: "a@*", IDs: []string{"01X"}, OlderSeconds: 36 * 3600, YoungerSeconds: 5400, LargerBytes: 500_000, SmallerBytes: 10 << 20}
	if err != nil || fmt.Sprintf("%+v", s) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v, %v; want %+v", s, err, want)
	}
	for _, bad := range []selectFlags{{older: "soon"}, {older: "-1h"}, {older: "5"}, {younger: "0s"}, {older: "xd"}, {older: "1d-1h"}, {larger: "big"}, {smaller: "-1"}} {
		if s, err := bad.parse(nil); err == nil {
			t.Errorf("%+v gives %+v", bad, s)
		}
	}
}

// The form is Postfix's, column by column, but for longer ids.
func TestMailq(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 5, 6, 0, time.Local)
	var out strings.Builder
	p := mailq{out: &out}
	p.add(admin.Entry{ID: "01M809E0HD5QHKBZP47VXXP6GC", Size: 3000, Received: at, Sender: "a@b.test", State: "deferred", Reason: "450 busy", Recipients: []string{"c@d.test", "e@d.test"}})
	p.add(admin.Entry{ID: "01M809E0HD5QHKBZP47VXXP6GC", Size: 3000, Received: at, Sender: "a@b.test", State: "active", Recipients: []string{"f@g.test"}})
	p.add(admin.Entry{ID: "01M809E0HD5QHKBZP47VXXP6GD", Size: 100, Received: at, State: "held", Reason: "by anna: look", Recipients: []string{"h@i.test"}})
	p.end()
	want := `-Queue ID-                  --Size-- ----Arrival Time---- -Sender/Recipient-------
01M809E0HD5QHKBZP47VXXP6GC*     3000 Sun Mar  1 12:05:06  a@b.test
        (450 busy)
                                                          c@d.test
                                                          e@d.test
                                                          f@g.test

01M809E0HD5QHKBZP47VXXP6GD!      100 Sun Mar  1 12:05:06  MAILER-DAEMON
        (by anna: look)
                                                          h@i.test

-- 4 Kbytes in 2 Requests.
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	out.Reset()
	(&mailq{out: &out}).end()
	if out.String() != "Mail queue is empty\n" {
		t.Errorf("empty: %q", &out)
	}
}

func TestPrintProgress(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	printProgress(&out, admin.Progress{Seen: 9, Matched: 5, Changed: 1, Unchanged: 2, Failed: 2}, queueAction{done: "held"}, false)
	printProgress(&out, admin.Progress{Seen: 9, Matched: 5}, queueAction{done: "held"}, true)
	retry := queueActions()[slices.IndexFunc(queueActions(), func(q queueAction) bool { return q.word == "retry" })]
	printProgress(&out, admin.Progress{Seen: 1, Matched: 1, Unchanged: 1}, retry, false)
	want := "1 delivery held.\n2 deliveries needed no change, or left meanwhile.\n2 deliveries could not be changed; the relay's log says why.\n" +
		"5 deliveries would be held, of 9 looked at. Nothing was changed.\n" +
		"0 deliveries made due.\n1 delivery needed no change, or left meanwhile; hosts that were given up are tried now.\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}

// What rules said is shown with the message, those that did something by name.
func TestShowRules(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	printDetail(&out, admin.Detail{ID: "01X", Tags: []string{"bulk", "news"}, Trace: []admin.Verdict{
		{Rule: "quiet", Stage: "mail"}, {Rule: "loud", Stage: "rcpt", Recipient: "a@b.test", Said: "hold: odd\x1b[2J"}, {Rule: "mark", Stage: "data", Said: "tag bulk"},
	}})
	for _, want := range []string{"tags:        bulk, news\n", "rule:        loud at rcpt about <a@b.test>: hold: odd?[2J\n", "rule:        mark at data: tag bulk\n", "rules:       1 other did not match\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	out.Reset()
	printLife(&out, newPainter(&out), &admin.Life{ID: "01X", Trace: []admin.Verdict{{Rule: "quiet", Stage: "mail"}, {Rule: "mark", Stage: "data", Said: "tag bulk"}}})
	if !strings.Contains(out.String(), "  rule mark at data: tag bulk\n") || strings.Contains(out.String(), "quiet") {
		t.Errorf("got\n%s", out.String())
	}
}
