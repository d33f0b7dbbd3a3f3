package main

import (
	"strings"
	"testing"
	"time"

	"postrider/relay/admin"
)

// Rates are of the time between two looks, the rest is of the second.
func TestTopLines(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	before := topLook{at: at, metrics: admin.Series{
		`postrider_messages_accepted_total{listener="a",tls="none"}`: 10, `postrider_recipients_total{class="none",status="delivered"}`: 5,
	}}
	now := topLook{at: at.Add(2 * time.Second), metrics: admin.Series{
		`postrider_messages_accepted_total{listener="a",tls="none"}`: 20, `postrider_messages_accepted_total{listener="b",tls="none"}`: 3,
		`postrider_recipients_total{class="none",status="delivered"}`: 6, `postrider_recipients_total{class="user",status="bounced"}`: 1,
		`postrider_recipients_total{class="quota",status="deferred"}`: 4, `postrider_destination_queue_deliveries{destination="internet/two.test"}`: 60,
		`postrider_destination_queue_deliveries{destination="internet/one.test"}`: 10, `postrider_destination_queue_oldest_seconds{destination="internet/two.test"}`: 120,
		"postrider_queue_deliveries": 70, "postrider_queue_oldest_seconds": 120, "postrider_queue_destinations": 2,
	}, bins: []admin.Bin{{Destination: "internet/one.test", Closed: true, Reason: "refused", Until: time.Now().Add(time.Minute)}},
		sites: []admin.Site{{Opening: 1, Carrying: 2, Idle: 3}, {Carrying: 1}}}
	text := strings.Join(topLines(before, now, false), "\n")
	for _, want := range []string{
		"accepted 6.5/s, refused 0.0/s", "delivered 0.5/s, deferred 2.0/s, bounced 0.5/s",
		"70 waiting for 2 destinations, 0 held, the oldest for 2m00s", "internet/one.test", "closed, next probe in",
		"7 connections: 1 opening, 3 carrying, 3 idle", "errors about quota 2.0/s, user 0.5/s", "internet/two.test                              60   2m00s",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Index(text, "internet/two.test") > strings.Index(text, "internet/one.test") {
		t.Errorf("those with most mail come first:\n%s", text)
	}
}
