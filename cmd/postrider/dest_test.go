package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"postrider/relay/admin"
)

// dest show tells what goes on with a destination, and what each of its connections does.
func TestPrintDestination(t *testing.T) {
	t.Parallel()
	minutesAgo := time.Now().Add(-5 * time.Minute)
	var out bytes.Buffer
	printDestination(&out, admin.Destination{
		Bin:   admin.Bin{Doing: "delivering", Moved: minutesAgo},
		Depth: admin.Depth{Destination: "internet/x.test"},
		Open: []admin.Connection{
			{Phase: "carrying", Since: minutesAgo, ID: "01M809E0HD5QHKBZP47VXXP6GC", WrittenOff: true},
			{Phase: "idle", Since: minutesAgo},
		},
	})
	for _, want := range []string{
		"doing:        delivering, moved 5m", "connection:   carrying for 5m", "01M809E0HD5QHKBZP47VXXP6GC, written off: it does not end",
		"connection:   idle for 5m",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// dest limits says which limit binds, until when, and what lets how much pass; hosts' words do
// nothing to the terminal.
func TestPrintLimits(t *testing.T) {
	t.Parallel()
	soon, ago := time.Now().Add(90*time.Second), time.Now().Add(-5*time.Minute)
	var out bytes.Buffer
	printLimits(&out, &admin.Limits{
		Destination: "internet/x.test", AtWork: true, Binding: "route internet: 30 messages/1m0s", Until: soon, Reach: 0.5, Waiting: 12, Away: 2,
		Site: "mx.x.test:25", Source: "192.0.2.9", MoreFlows: 3,
		Limits: []admin.Limit{
			{Name: "route internet: 30 messages/1m0s", Of: "route", Rate: 0.5, Allows: "30 messages/1m0s", Until: soon, Binds: true},
			{Name: "flow shop: 100 messages/1d", Of: "flow", Rate: 100. / 86400, Allows: "100 messages/1d", Left: 7},
			{Name: "window", Of: "site", Used: 2, Most: 20, Rate: 40},
		},
		Learned:   &admin.Learned{Window: 20, Steady: true, Connections: 20, ConnectionsAt: ago, PerConnection: 30, PerConnectionAt: ago, TookMS: 500, Size: 4096, Failures: 1},
		Addresses: []admin.AddressHealth{{Host: "mx.x.test", Addr: "192.0.2.1:25"}, {Host: "mx.x.test", Addr: "192.0.2.2:25", Failures: 1, Until: soon}},
		Errors:    []admin.Complaint{{At: ago, Times: 1, Reply: "450 busy\x1b[2J"}},
	})
	for _, want := range []string{
		"binds:        route internet: 30 messages/1m0s; the next delivery may go in 1m", "reach:        30/min", "12 wait in memory, 2 under way",
		"yes    route internet", "30/min  none for 1m", "4.17/h  7 now", "40/s  2 of 20 in use", "... and 3 more rates", "window:       20 connections, found by a setback",
		"refused:      more than 20 connections, 5m", "ends:         connections after 30 messages", "lately:       500ms for a message of 4.1 kB",
		"address:      mx.x.test 192.0.2.1:25: well", "192.0.2.2:25: no session, 1 time in a row; tried last for 1m", "said:         5m", "1 time: 450 busy?[2J", "source:       192.0.2.9",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
