package spool_test

import (
	"bytes"
	"testing"

	"postrider/spool"
)

// A spool of an older format is taken over, and marked so that the older program, which
// would set aside the records that it cannot read, leaves it alone from then on.
func TestOlderFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var got []byte
	for range 2 {
		s, err := spool.Open(spool.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if got, err = s.Value([]byte("oformat")); err != nil {
			t.Fatal(err)
		}
		if err := s.Overwrite([]byte("oformat"), []byte{1}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []byte{3}; !bytes.Equal(got, want) {
		t.Errorf("got format %x, want %x", got, want)
	}
}
