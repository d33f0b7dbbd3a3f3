package outbound_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// routeSmart and routeMX are the names of the routes that tests use.
const (
	routeSmart = "smart"
	routeMX    = "internet"
)

// smart returns a Transport with a route to the peers as smart hosts.
func smart(t testing.TB, edit func(*outbound.Options), peers ...*outboundtest.Peer) *outbound.Transport {
	t.Helper()
	o := outbound.Options{Hostname: "relay.test", Routes: []outbound.Route{{Name: routeSmart, TLS: outbound.TLSNone}}}
	for _, p := range peers {
		o.Routes[0].Hosts = append(o.Routes[0].Hosts, p.Addr())
	}
	return newTransport(t, o, edit)
}

// internet returns a Transport with a route by MX that asks the server.
func internet(t testing.TB, d *outboundtest.DNS, edit func(*outbound.Options)) *outbound.Transport {
	t.Helper()
	return newTransport(t, outbound.Options{
		Hostname: "relay.test",
		Routes:   []outbound.Route{{Name: routeMX, MX: true, TLS: outbound.TLSNone}},
		DNS:      outbound.DNSOptions{Servers: []string{d.Addr()}, AllowLoopback: true, Timeout: 2 * time.Second},
	}, edit)
}

func newTransport(t testing.TB, o outbound.Options, edit func(*outbound.Options)) *outbound.Transport {
	t.Helper()
	if edit != nil {
		edit(&o)
	}
	tr, err := outbound.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func resolve(t testing.TB, tr *outbound.Transport, to relay.Destination) *relay.Site {
	t.Helper()
	site, err := tr.Resolve(t.Context(), to)
	if err != nil {
		t.Fatalf("resolve %s: %v", to, err)
	}
	return site
}

func dial(t testing.TB, tr *outbound.Transport) relay.Conn {
	t.Helper()
	c, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: routeSmart}))
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// dialFault dials and returns the reply that it fails with.
func dialFault(t testing.TB, tr *outbound.Transport) *relay.Reply {
	t.Helper()
	c, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: routeSmart}))
	if err == nil {
		c.Close()
		t.Fatal("dial succeeded")
	}
	return asReply(t, err)
}

func asReply(t testing.TB, err error) *relay.Reply {
	t.Helper()
	var r *relay.Reply
	if !errors.As(err, &r) {
		t.Fatalf("error %v (%T) is not a reply", err, err)
	}
	return r
}

const header = "Subject: test\r\n\r\n"

// transfer makes a message of the body to the recipients.
func transfer(body string, recipients ...string) relay.Transfer {
	return transferFrom(strings.NewReader(body), int64(len(body)), recipients...)
}

func transferFrom(body io.ReadSeeker, size int64, recipients ...string) relay.Transfer {
	m := &relay.Message{Header: []byte(header), Size: int64(len(header)) + size}
	m.Envelope.Sender = relay.Address{Local: "sender", Domain: "from.test"}
	for _, text := range recipients {
		a, err := relay.ParseAddress(text)
		if err != nil {
			panic(err)
		}
		m.Envelope.Recipients = append(m.Envelope.Recipients, relay.Recipient{Address: a})
	}
	return relay.Transfer{Message: m, Recipients: m.Envelope.Recipients, Body: body}
}

func deliver(t testing.TB, c relay.Conn, tr relay.Transfer) relay.Attempt {
	t.Helper()
	a := c.Deliver(t.Context(), tr, nil)
	if len(a.Replies) != len(tr.Recipients) {
		t.Fatalf("%d replies for %d recipients", len(a.Replies), len(tr.Recipients))
	}
	for i, r := range a.Replies {
		if r.Code == 0 {
			t.Errorf("recipient %d has no reply", i)
		}
	}
	return a
}

// codes shows the replies of an attempt as "250,550", and its flags in letters.
func codes(a relay.Attempt) string {
	var list []string
	for _, r := range a.Replies {
		list = append(list, fmt.Sprint(r.Code))
	}
	text := strings.Join(list, ",")
	for _, f := range []struct {
		set  bool
		word string
	}{{a.Untried, "untried"}, {a.Setback, "setback"}, {a.Local != nil, "local"}, {a.Ambiguous, "ambiguous"}} {
		if f.set {
			text += " " + f.word
		}
	}
	return text
}

func wantCodes(t testing.TB, a relay.Attempt, want string) {
	t.Helper()
	if got := codes(a); got != want {
		t.Errorf("attempt = %q, want %q (%v)", got, want, a.Replies)
	}
}

// verbs shows the first words of a session's commands.
func verbs(s outboundtest.Session) string {
	var list []string
	for _, line := range s.Commands {
		verb, _, _ := strings.Cut(line, " ")
		list = append(list, verb)
	}
	return strings.Join(list, " ")
}

// row is a row of the conformance list.
type row struct {
	name string
	run  func(*testing.T)
}

// The conformance list, as far as a client can keep it. In other hands: C08, T07's learning, T18's alarm (scheduler), T19 (recipients
// come without duplicates).
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, rows := range [][]row{hostRows(), sessionRows(), tlsRows(), provenRows(), transactionRows(), aheadRows(), chunkRows()} {
		for _, r := range rows {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				r.run(t)
			})
		}
	}
}
