package spool_test

import (
	"testing"

	"postrider/spool"
)

// What a commit asks of the disk shows.
func TestFigures(t *testing.T) {
	t.Parallel()
	s, err := spool.Open(spool.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	before := figures(s)
	m, ds := newMail().message(1, 1000)
	if err := commit(t.Context(), s, m, ds); err != nil {
		t.Fatal(err)
	}
	after := figures(s)
	if after["spool_syncs_total"] <= before["spool_syncs_total"] {
		t.Errorf("%v syncs after a commit, %v before", after["spool_syncs_total"], before["spool_syncs_total"])
	}
	if n := after["spool_written_bytes_total"] - before["spool_written_bytes_total"]; n < 1000 {
		t.Errorf("%v bytes written for a message of 1000", n)
	}
	if after["spool_used_bytes"] <= 0 || after["spool_free_bytes"] <= 0 || after["spool_min_free_bytes"] <= 0 {
		t.Errorf("the disk is not measured: %v", after)
	}
}

func figures(s *spool.Spool) map[string]float64 {
	all := make(map[string]float64)
	for _, f := range s.Figures() {
		all[f.Name] = f.Value
	}
	return all
}
