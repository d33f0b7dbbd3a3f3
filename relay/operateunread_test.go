package relay_test

import (
	"strings"
	"testing"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// Notes that cannot be read stop nobody. A pause of which only the name is left stays in force, and
// the journal tells the rest.
func TestNotesUnreadable(t *testing.T) {
	inTime(t, unreadable)
}

func unreadable(t *testing.T, r *rig) {
	r.start(t)
	notes := &relaytest.Notes{}
	bad := []byte("{")
	if err := notes.Remember(t.Context(), relay.Note{Key: "pause/internet/*", Value: bad}, relay.Note{Key: "journal/0", Value: bad}); err != nil {
		t.Fatal(err)
	}
	o := r.operator(t, notes)
	p := o.Pauses()
	if len(p) != 1 || p[0].Destination != "internet/*" || !strings.Contains(p[0].Reason, "cannot be read") {
		t.Errorf("pauses: %+v", p)
	}
	if was, err := o.Resume(t.Context(), "internet/*", "ann", "over"); !was || err != nil {
		t.Errorf("resume: %v, %v", was, err)
	}
	entries, err := o.Journal(t.Context())
	if err != nil || len(entries) != 2 || !strings.Contains(entries[0].Reason, "cannot be read") || entries[1].Action != "resume" {
		t.Errorf("journal: %+v, %v", entries, err)
	}
}
