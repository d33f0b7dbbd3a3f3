package spool_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"postrider/relay"
	"postrider/spool"
)

func TestNotesOutliveRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, want := range []int{0, 1} {
		s, err := spool.Open(spool.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for n, err := range s.Recall(t.Context(), "site/") {
			if err != nil || n.Key != "site/mx" || string(n.Value) != "20" {
				t.Errorf("got %+v, %v", n, err)
			}
			got++
		}
		if got != want {
			t.Errorf("recalled %d notes, want %d", got, want)
		}
		if err := s.Remember(t.Context(), relay.Note{Key: "site/mx", Value: []byte("20")}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Notes that are refused because the disk is full are not there once it has space, whether the disk
// was full before or filled up with them.
func TestFullNotes(t *testing.T) {
	t.Parallel()
	s, q, _ := openFull(t)
	recalled := func() (all []string) {
		for n, err := range s.Recall(t.Context(), "") {
			if err != nil {
				t.Error(err)
			}
			all = append(all, fmt.Sprintf("%s=%.3s", n.Key, n.Value))
		}
		return all
	}
	if err := s.Remember(t.Context(), relay.Note{Key: "pause/a", Value: []byte("old")}, relay.Note{Key: "pause/b", Value: []byte("old")}); err != nil {
		t.Fatal(err)
	}
	q.full.Store(true)
	large := bytes.Repeat([]byte("new"), 1<<20) // so that the log has to write
	wantStorageFull(t, "remember as the disk fills", s.Remember(t.Context(), relay.Note{Key: "pause/a", Value: large}, relay.Note{Key: "pause/b"}, relay.Note{Key: "pause/c", Value: large}))
	wantStorageFull(t, "remember with a full disk", s.Remember(t.Context(), relay.Note{Key: "pause/d", Value: []byte("new")}))
	q.full.Store(false)
	eventually(t, "notes are taken again", func() bool { return s.Remember(t.Context(), relay.Note{Key: "pause/e", Value: []byte("new")}) == nil })
	if got, want := recalled(), []string{"pause/a=old", "pause/b=old", "pause/e=new"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
