package policy

import (
	"strings"
	"testing"

	"postrider/relay"
)

// What clients write as keys takes bounded room.
func TestMetersAreBounded(t *testing.T) {
	t.Parallel()
	p, err := New(Options{Hostname: "relay.example", Routes: []Route{{Name: "all"}}})
	if err != nil {
		t.Fatal(err)
	}
	made, err := p.compileTest(`rate(subject, 1, "1h")`, data)
	if err != nil {
		t.Fatal(err)
	}
	made.countFor("r")
	over := func(subject string) bool {
		m := &relay.Message{Header: []byte("Subject: " + subject + "\r\n\r\n")}
		f := p.facts(t.Context(), &m.Origin, m)
		defer f.done()
		return made.test(f)
	}
	long := strings.Repeat("x", 100_000)
	if over(long) || !over(long) || over(long+"y") {
		t.Error("keys that are long are not told apart")
	}
	for key := range p.meters.buckets {
		if len(key) > 300 {
			t.Errorf("a key of %d bytes", len(key))
		}
	}
}
