package spool_test

import (
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
