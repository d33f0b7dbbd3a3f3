package spool_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"postrider/relay"
	"postrider/spool"
)

// unpack gives the files of an archive in a directory "spool" in memory.
func unpack(t *testing.T, archive string) vfs.FS {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	fs := vfs.NewMem()
	if err := fs.MkdirAll("spool", 0o700); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if err == io.EOF {
			return fs
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		f, err := fs.Create("spool/"+path.Base(h.Name), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(f, r); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A spool that a program of format 1 had open when it was killed: short mail and long, some of it
// deferred, in parts, set aside or returned, and the beginning of a message. All of it is read as
// it was, also by a second start, can be held, and is delivered with nothing left behind.
func TestFormat1(t *testing.T) {
	t.Parallel()
	fs := unpack(t, "testdata/format1.tar.gz")
	for round := range 2 {
		s, err := spool.Open(spool.Options{Dir: "spool", FS: fs, Fault: func(f relay.Fault) { t.Errorf("fault: %+v", f) }})
		if err != nil {
			t.Fatal(err)
		}
		ids := arrived(t, s)
		if len(ids) != 6 {
			t.Fatalf("%d messages, want 6", len(ids))
		}
		for _, id := range ids {
			if err := whole(t.Context(), s, id); err != nil {
				t.Error(err)
			}
		}
		wantFormat1(t, s, ids)
		wantKeys(t, s, 't', 0)
		if v := verify(t, s); v.Wrong != 0 || v.Deliveries != 9 || v.Aside != 3 {
			t.Errorf("verified: %+v", v)
		}
		if round == 1 {
			deliverFormat1(t, s, ids)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func wantFormat1(t *testing.T, s *spool.Spool, ids []relay.ID) {
	t.Helper()
	m, err := s.Message(t.Context(), ids[0])
	if err != nil || m.Envelope.EnvelopeID != "env" || !m.Envelope.EightBit || m.Origin.User != "ann" || m.Origin.Client.String() != "192.0.2.1" {
		t.Errorf("message: %+v, %v", m, err)
	}
	ds, err := s.Deliveries(t.Context(), ids[2])
	if err != nil || len(ds) != 1 {
		t.Fatalf("deferred: %v, %v", ds, err)
	}
	want := relay.Delivery{
		DeliveryID: relay.DeliveryID{Message: ids[2]}, To: here, Flow: "flow", Recipients: []int{0}, Sole: true,
		Attempts: 3, Due: time.Unix(2, 5).UTC(), Warned: true,
		Last: relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 7, 1}, Text: "later"},
	}
	if !reflect.DeepEqual(ds[0], want) {
		t.Errorf("deferred: got\n%+v, want\n%+v", ds[0], want)
	}
	if ds, err := s.Deliveries(t.Context(), ids[3]); err != nil || len(ds) != 3 || ds[2].Part != 3 || ds[2].To.Domain != "else.test" {
		t.Errorf("in parts: %+v, %v", ds, err)
	}
}

// deliverFormat1 puts back what was set aside, holds and releases all, and delivers it.
func deliverFormat1(t *testing.T, s *spool.Spool, ids []relay.ID) {
	t.Helper()
	for a, err := range s.Aside(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Restore(t.Context(), a.Message); err != nil && !errors.Is(err, relay.ErrNotFound) {
			t.Errorf("restore: %v", err)
		}
		ids = append(ids, a.Message)
		break
	}
	for _, id := range ids {
		held, err := s.ClaimMessage(t.Context(), id)
		if err != nil || len(held) == 0 {
			t.Errorf("claim %s: %v, %v", id, held, err)
		}
		for _, d := range held {
			next := d
			next.Held = "look"
			if err := s.Settle(t.Context(), relay.Settlement{Delivery: d, Then: []relay.Delivery{next}}); err != nil {
				t.Error(err)
			}
		}
		if held, err = s.ClaimHeld(t.Context(), id); err != nil || len(held) == 0 {
			t.Errorf("claim held %s: %v, %v", id, held, err)
		}
		s.Release(held...)
		for _, d := range held {
			d.Held = ""
			if _, err := s.ClaimHeld(t.Context(), id); err != nil {
				t.Error(err)
			}
			if err := s.Settle(t.Context(), relay.Settlement{Delivery: d, Then: []relay.Delivery{d}}); err != nil {
				t.Error(err)
			}
		}
		end(t, s, id, "delivered", time.Now())
		if l, err := s.Life(t.Context(), id); err != nil || l.Queued || len(l.Events) == 0 {
			t.Errorf("life: %+v, %v", l, err)
		}
	}
	wantNothing(t, s)
}
