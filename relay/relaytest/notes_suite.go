package relaytest

import (
	"fmt"
	"slices"
	"testing"

	"postrider/relay"
)

// TestNotes is the contract of relay.Notes as a test. Open returns notes without any.
func TestNotes(t *testing.T, open func(t *testing.T) relay.Notes) {
	t.Parallel()
	n := open(t)
	wantNotes(t, n, "")
	remember(t, n, "b/1", "one", "a", "\x00", "b/2", "two", "c", "see")
	wantNotes(t, n, "", "a=\x00", "b/1=one", "b/2=two", "c=see")
	wantNotes(t, n, "b/", "b/1=one", "b/2=two")
	wantNotes(t, n, "d")
	for i := range 3 {
		remember(t, n, "b/1", fmt.Sprint(i))
	}
	remember(t, n, "b/2", "", "none", "")
	wantNotes(t, n, "b/", "b/1=2")
	remember(t, n, "b/2", "again")
	wantNotes(t, n, "b/", "b/1=2", "b/2=again")
	many := make([]relay.Note, 1100)
	for i := range many {
		many[i] = relay.Note{Key: fmt.Sprintf("many/%04d", i), Value: []byte("x")}
	}
	if err := n.Remember(t.Context(), many...); err != nil {
		t.Fatalf("remember: %v", err)
	}
	i := 0
	for note, err := range n.Recall(t.Context(), "many/") {
		if err != nil || note.Key != many[i].Key {
			t.Fatalf("recall: got %q, %v at %d", note.Key, err, i)
		}
		i++
	}
	if i != len(many) {
		t.Errorf("recalled %d notes, want %d", i, len(many))
	}
}

func remember(t *testing.T, n relay.Notes, pairs ...string) {
	t.Helper()
	var notes []relay.Note
	for pair := range slices.Chunk(pairs, 2) {
		notes = append(notes, relay.Note{Key: pair[0], Value: []byte(pair[1])})
	}
	if err := n.Remember(t.Context(), notes...); err != nil {
		t.Fatalf("remember: %v", err)
	}
}

func wantNotes(t *testing.T, n relay.Notes, prefix string, want ...string) {
	t.Helper()
	var got []string
	for note, err := range n.Recall(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("recall: %v", err)
		}
		got = append(got, note.Key+"="+string(note.Value))
	}
	if !slices.Equal(got, want) {
		t.Errorf("notes %q: got %q, want %q", prefix, got, want)
	}
}
