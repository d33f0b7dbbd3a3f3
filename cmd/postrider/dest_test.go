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
