package main

import (
	"strings"
	"testing"
	"time"

	"postrider/relay/admin"
)

func TestPrintEvent(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	for _, tt := range []struct {
		event admin.Event
		want  string
	}{
		{admin.Event{Event: "accepted", ID: "01X", From: "a@b.test", Recipients: 3, Client: "192.0.2.1", User: "shop"},
			"12:00:00.000 accepted    01X <a@b.test> to 3 recipients user shop from 192.0.2.1\n"},
		{admin.Event{Event: "delivered", ID: "01X", From: "a@b.test", To: "c@d.test", Host: "mx.d.test", Destination: "internet/d.test", Attempt: 1, Code: 250, Enhanced: "2.0.0", Reply: "Ok", QueueMS: 1, TransmitMS: 2},
			"12:00:00.000 delivered   01X <a@b.test> to <c@d.test> by mx.d.test 250 2.0.0 Ok after 3 ms\n"},
		{admin.Event{Event: "deferred", ID: "01X", To: "c@d.test", Destination: "internet/d.test", Attempt: 1, Code: 451, Reply: "Come\x1b[2J back", Class: "greylisting", Due: at.Add(time.Minute)},
			"12:00:00.000 deferred    01X <> to <c@d.test> for internet/d.test 451 Come?[2J back [greylisting] after 0 ms next try 12:01:00\n"},
		{admin.Event{Event: "refused", From: "a@b.test", To: "c@d.test", Stage: "rcpt", Reason: "access", Code: 554, Enhanced: "5.7.1", Reply: "Relay access denied", Client: "192.0.2.1"},
			"12:00:00.000 refused     <a@b.test> to <c@d.test> from 192.0.2.1 at rcpt (access) 554 5.7.1 Relay access denied\n"},
		{admin.Event{Event: "fault", Doing: "sync the spool", Cause: "EIO"},
			"12:00:00.000 fault       while trying to sync the spool (EIO)\n"},
		{admin.Event{Event: "lost", Lost: 7}, "12:00:00.000 lost        7 events were missed here\n"},
	} {
		tt.event.Time = at
		var out strings.Builder
		if err := printEvent(&out, false, &tt.event); err != nil || out.String() != tt.want {
			t.Errorf("got  %q, %v\nwant %q", out.String(), err, tt.want)
		}
	}
}

func TestPrintStats(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	printStats(&out, admin.Stats{
		Deliveries: 12, Held: 2, Destinations: 3, Oldest: time.Now().Add(-90 * time.Minute),
		Minutes: []int{5, 10}, Ages: []int{10, 0, 2},
		Rows: []admin.Depth{{Destination: "internet/one.test", Deliveries: 9, Held: 2, Ages: []int{9, 0, 0}}},
	})
	for _, want := range []string{
		"DESTINATION           TOTAL     HELD     <5m    <10m   older\n",
		"TOTAL                    12        2      10       .       2\n",
		"internet/one.test         9        2       9       .       .\n",
		"... and 2 more destinations\n", "waited for 1h30m",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// Colours are for terminals.
func TestPainter(t *testing.T) {
	t.Parallel()
	if got := newPainter(new(strings.Builder)).paint(red, "x"); got != "x" {
		t.Errorf("got %q", got)
	}
	if got := painter(true).paint(red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("got %q", got)
	}
}
