package relay_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

const importedHeader = "Subject: moved\r\n\r\n"

// moved makes a message of another queue, with two recipients on different ways.
func moved(r *rig) (*relay.Message, []relay.Delivery) {
	m := &relay.Message{
		ID: r.ids.Next(), Header: []byte(importedHeader), Size: int64(len(importedHeader) + len("body\r\n")), Received: time.Now(),
		Envelope: relay.Envelope{Sender: address("a@example.com"), Recipients: []relay.Recipient{
			{Address: address("b@one.example")}, {Address: address("c@two.example")},
		}},
	}
	delivery := func(k int, domain string) relay.Delivery {
		return relay.Delivery{
			DeliveryID: relay.DeliveryID{Message: m.ID, Part: uint32(k)}, To: relay.Destination{Route: "internet", Domain: domain},
			Flow: "a", Recipients: []int{k}, Due: time.Now(), Attempts: 3,
		}
	}
	return m, []relay.Delivery{delivery(0, "one.example"), delivery(1, "two.example")}
}

// What is imported is delivered, and what is in the queue already is not taken twice.
func TestImport(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.start(t)
		importer, err := relay.NewImporter(relay.ImporterOptions{Spool: r.spool, Scheduler: r.scheduler})
		if err != nil {
			t.Fatal(err)
		}
		m, ds := moved(r)
		ds[1].Held, ds[1].HeldSince = "a rule says so", time.Now()
		for n, want := range []bool{true, false} {
			got, err := importer.Import(t.Context(), m, ds, strings.NewReader("body\r\n"))
			if err != nil || got != want {
				t.Fatalf("import %d: %v (%v), want %v", n, got, err, want)
			}
			time.Sleep(time.Second)
		}
		left, err := r.spool.Deliveries(t.Context(), m.ID)
		if err != nil || len(left) != 1 || left[0].Held == "" || left[0].Attempts != 3 {
			t.Errorf("left is %+v (%v), want what is held", left, err)
		}
	})
}

// What the queue could not hold is refused, and nothing of it stays.
func TestImportRefuses(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		importer, err := relay.NewImporter(relay.ImporterOptions{Spool: r.spool})
		if err != nil {
			t.Fatal(err)
		}
		body := func() io.Reader { return strings.NewReader("body\r\n") }
		for name, change := range map[string]func(m *relay.Message, ds []relay.Delivery) ([]relay.Delivery, io.Reader){
			"no delivery": func(_ *relay.Message, ds []relay.Delivery) ([]relay.Delivery, io.Reader) { return nil, body() },
			"no header": func(m *relay.Message, ds []relay.Delivery) ([]relay.Delivery, io.Reader) {
				m.Header = nil
				return ds, body()
			},
			"no ID": func(m *relay.Message, ds []relay.Delivery) ([]relay.Delivery, io.Reader) {
				m.ID = relay.ID{}
				return ds, body()
			},
			"another's": func(_ *relay.Message, ds []relay.Delivery) ([]relay.Delivery, io.Reader) {
				ds[0].Message[3]++
				return ds, body()
			},
			"nowhere": func(_ *relay.Message, ds []relay.Delivery) ([]relay.Delivery, io.Reader) {
				ds[0].To.Route = ""
				return ds, body()
			},
			"nobody": func(_ *relay.Message, ds []relay.Delivery) ([]relay.Delivery, io.Reader) {
				ds[0].Recipients = nil
				return ds, body()
			},
			"no such recipient": func(_ *relay.Message, ds []relay.Delivery) ([]relay.Delivery, io.Reader) {
				ds[0].Recipients[0] = 2
				return ds, body()
			},
			"recipient twice": func(_ *relay.Message, ds []relay.Delivery) ([]relay.Delivery, io.Reader) {
				ds[1].Recipients[0] = 0
				return ds, body()
			},
			"part twice": func(_ *relay.Message, ds []relay.Delivery) ([]relay.Delivery, io.Reader) {
				ds[1].Part = 0
				return ds, body()
			},
			"cut off": func(_ *relay.Message, ds []relay.Delivery) ([]relay.Delivery, io.Reader) {
				return ds, strings.NewReader("bo")
			},
		} {
			m, ds := moved(r)
			ds, content := change(m, ds)
			if taken, err := importer.Import(t.Context(), m, ds, content); taken || !errors.Is(err, relay.ErrImport) {
				t.Errorf("%s: %v (%v), want it refused", name, taken, err)
			}
		}
		for id, err := range r.spool.Arrived(t.Context(), relay.ID{}) {
			t.Errorf("%s is in the queue (%v)", id, err)
		}
		full := relay.StorageFull(errors.New("no room"))
		r.spool.(*relaytest.Spool).Refuse(full)
		m, ds := moved(r)
		if _, err := importer.Import(t.Context(), m, ds, body()); !errors.Is(err, error(full)) {
			t.Errorf("with a full disk: %v, want %v", err, full)
		}
	})
}
