package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"postrider/relay"
)

// A reload knows that a service is down; listeners that ask the same one share that; the log and the
// metrics have it once.
func TestBreakers(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := breakers{log: zerolog.New(&log)}
	first := b.next()
	one := first.of("milter spam", "127.0.0.1:1")
	if first.of("milter spam", "127.0.0.1:1") != one || first.of("milter spam", "127.0.0.1:2") == one {
		t.Error("a service is one of a name and an address")
	}
	b.store(first)
	for range relay.DefaultBreakerFailures + 3 {
		_ = one.Do(func() (bool, error) { return true, errors.New("down") })
	}
	want := `{"level":"warn","service":"milter spam","cause":"down","message":"left alone"}` + "\n"
	if log.String() != want {
		t.Errorf("logged %s, want %s", log.String(), want)
	}
	figures := func() string {
		var text strings.Builder
		for _, f := range b.Figures() {
			text.WriteString(strings.Join(append(f.Labels, f.Name), " "))
			if f.Value > 0 {
				text.WriteString(" !")
			}
			text.WriteString("\n")
		}
		return text.String()
	}
	if got, want := figures(), "service milter spam service_left_alone !\nservice milter spam service_skipped_total !\n"; got != want {
		t.Errorf("figures\n%swant\n%s", got, want)
	}
	second := b.next()
	if second.of("milter spam", "127.0.0.1:1") != one {
		t.Error("a reload has forgotten that the service is down")
	}
	b.store(b.next())
	if got := figures(); got != "" {
		t.Errorf("figures of services that nobody asks: %s", got)
	}
}
