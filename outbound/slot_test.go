package outbound_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
	"postrider/relay/relaytest"
)

// bySite routes mail by the domain of its recipient: to the faulty host, or to the good one.
type bySite struct{ relaytest.Policy }

func (*bySite) Route(_ *relay.Message, r relay.Recipient) (relay.Routing, *relay.Reply) {
	name, _, _ := strings.Cut(r.Address.Domain, ".")
	return relay.Routing{To: relay.Destination{Route: name}}, nil
}

// Whatever fault a host has in whatever phase, the scheduler has its only connection back within the
// phase's deadline: mail to another host goes out, and that to the faulty one waits with the reason.
func TestFaultsFreeTheSlot(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		for _, c := range faultCells() {
			t.Run(fmt.Sprintf("%s/%s", c.name, f.name), func(t *testing.T) {
				t.Parallel()
				script := outboundtest.Script{On: func(e outboundtest.Event) outboundtest.Action {
					if e.Phase == c.phase {
						return f.action
					}
					return outboundtest.Action{Reply: c.before[e.Phase]}
				}}
				if c.script != nil {
					c.script(t, &script)
				}
				meetSlot(t, c, script)
			})
		}
	}
}

func meetSlot(t *testing.T, c cell, script outboundtest.Script) {
	t.Helper()
	faulty, good := outboundtest.NewPeer(t, script), outboundtest.NewPeer(t, outboundtest.Script{})
	tr := smart(t, func(o *outbound.Options) {
		o.Routes[0].Name, o.Routes[0].TLS, o.Timeouts = "faulty", outbound.TLSMay, minutes()
		*c.bound(&o.Timeouts) = faultTimeout
		if c.edit != nil {
			c.edit(o)
		}
		o.Routes = append(o.Routes, outbound.Route{Name: "good", Hosts: []string{good.Addr()}, TLS: outbound.TLSNone})
	}, faulty)
	receiver, spool := running(t, tr)
	accept(t, receiver, "a@faulty.test")
	faulty.Wait("a session", func() bool { return len(faulty.Sessions()) > 0 })
	begun := time.Now()
	accept(t, receiver, "b@good.test")
	good.WaitMessages(1)
	// The phase's own deadline ends it; the rest is for a busy machine, and all others are a minute.
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("the slot was free after %s", took)
	}
	for d, err := range spool.List(t.Context(), relay.ID{}) {
		if err != nil {
			t.Fatal(err)
		}
		if d.To.Route == "good" && d.Attempts > 0 {
			t.Errorf("left for the good host: %+v", d)
		}
	}
}

// running is a receiver with a scheduler that has one connection in all.
func running(t *testing.T, tr *outbound.Transport) (*relay.Receiver, relay.Spool) {
	t.Helper()
	spool, policy, observer := relaytest.NewSpool(), &bySite{}, &relaytest.Observer{}
	ids := relay.NewIDs(time.Now, rand.Reader)
	s, err := relay.NewScheduler(relay.SchedulerOptions{
		Hostname: "relay.test", Spool: spool, Transport: tr, Policy: policy, Observer: observer, IDs: ids,
		ConnectionsTotal: 1, Idle: time.Hour, Now: time.Now, Chance: func() float64 { return 0.999 }, Grace: time.Millisecond,
		Retry: relay.Retry{First: time.Minute, Factor: 2, Max: time.Hour, MaxAge: 24 * time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := relay.NewReceiver(relay.ReceiverOptions{
		Hostname: "relay.test", Spool: spool, Policy: policy, Observer: observer, Scheduler: s, IDs: ids, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return receiver, spool
}

// accept takes a message for the recipient.
func accept(t *testing.T, r *relay.Receiver, to string) {
	t.Helper()
	rcpt, err := relay.ParseAddress(to)
	if err != nil {
		t.Fatal(err)
	}
	tx := r.Begin(&relay.Origin{Listener: "test", Client: netip.MustParseAddr("192.0.2.7"), Greeting: "client.test", Protocol: "ESMTP"})
	if reply := tx.Mail(t.Context(), relay.Envelope{Sender: relay.Address{Local: "sender", Domain: "from.test"}}, 0); reply != nil {
		t.Fatal(reply)
	}
	if reply := tx.Rcpt(t.Context(), relay.Recipient{Address: rcpt}); reply != nil {
		t.Fatal(reply)
	}
	if _, reply := tx.Data(t.Context(), strings.NewReader(header+"x\r\n")); reply != nil {
		t.Fatal(reply)
	}
}
