package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// nextHosts are two hosts of a site, of which the first refuses something.
func nextHosts(t *testing.T) {
	utf8 := outboundtest.Script{Extensions: []string{"PIPELINING", "8BITMIME"}}
	for _, tt := range []struct {
		name          string
		first, second outboundtest.Script
		to, want      string
		// firstTo and secondTo are the recipients of the messages that the hosts took; moved
		// says that the session goes on with the second host.
		firstTo, secondTo string
		moved             bool
	}{
		{"T04 one of two", answers("RCPT TO:<a@", "450 4.2.0 grey"), outboundtest.Script{}, two, "250,250", "b@to.test", "a@to.test", false},
		{"T04 refused again", answers("RCPT TO:<a@", "450 4.2.0 grey"), answers("RCPT", "451 4.2.0 grey"), two, "450,250", "b@to.test", "", false},
		{"T04 for good", answers("RCPT TO:<a@", "450 4.2.0 grey"), answers("RCPT", "550 5.1.1 no"), two, "550,250", "b@to.test", "", false},
		{"T04 5xx stays", answers("RCPT TO:<a@", "550 5.1.1 no", "RCPT TO:<b@", "450 busy"), outboundtest.Script{}, two, "550,250", "", "b@to.test", true},
		{"T06 MAIL", answers("MAIL", "451 4.3.0 later"), outboundtest.Script{}, two, "250,250", "", "a@to.test b@to.test", true},
		{"T06 DATA", answers("DATA", "451 4.3.0 later"), outboundtest.Script{}, two, "250,250", "", "a@to.test b@to.test", true},
		{"T06 MAIL 5xx", answers("MAIL", "550 5.7.1 no"), outboundtest.Script{}, two, "550,550", "", "", false},
		{"T06 after the dot", answers("dot", "451 4.3.0 later"), outboundtest.Script{}, two, "451,451", "", "", false},
		{"T06 second drops", answers("MAIL", "451 4.3.0 later"), nth(outboundtest.RCPT, 1, outboundtest.Action{Drop: true}), two, "451,451", "", "", false},
		{"T06 second ambiguous", answers("MAIL", "451 4.3.0 later"), nth(outboundtest.Dot, 1, outboundtest.Action{Drop: true}), two, "451,451 ambiguous", "", "", false},
		{"T06 second gone", answers("MAIL", "451 4.3.0 later"), answers("greeting", "421 busy"), two, "451,451", "", "", false},
		{"T12 elsewhere", utf8, outboundtest.Script{}, "m\u00fcller@to.test", "250", "", "m\u00fcller@to.test", true},
		{"T12 nowhere", utf8, utf8, "m\u00fcller@to.test", "553", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first, second := outboundtest.NewPeer(t, tt.first), outboundtest.NewPeer(t, tt.second)
			c := dial(t, smart(t, nil, first, second))
			wantCodes(t, deliver(t, c, transfer("x\r\n", strings.Fields(tt.to)...)), tt.want)
			if got := recipients(first); got != tt.firstTo {
				t.Errorf("first host took mail for %q, want %q", got, tt.firstTo)
			}
			if got := recipients(second); got != tt.secondTo {
				t.Errorf("second host took mail for %q, want %q", got, tt.secondTo)
			}
			if _, addr := c.Remote(); (addr == second.Addr()) != tt.moved {
				t.Errorf("the session is with %s, the second host is %s", addr, second.Addr())
			}
			if !c.Usable() {
				t.Error("not usable")
			}
		})
	}
}

func recipients(p *outboundtest.Peer) string {
	var all []string
	for _, m := range p.Messages() {
		all = append(all, m.To...)
	}
	return strings.Join(all, " ")
}

// What a host by MX says of the message itself, after its end, is not the last word either (T06); a
// configured host's is, until the next attempt.
func TestElsewhereAfterTheDot(t *testing.T) {
	t.Parallel()
	for _, extensions := range [][]string{nil, chunking} {
		for reply, want := range map[string]string{"451 4.3.0 later": "250,250", "554 5.7.1 spam": "554,554", "421 4.3.2 closing": "421,421 setback"} {
			script := answers("dot", reply, "BDAT", reply)
			script.Extensions, script.Listen = extensions, "127.0.0.2:0"
			first := outboundtest.NewPeer(t, script)
			second := outboundtest.NewPeer(t, outboundtest.Script{Listen: fmt.Sprintf("127.0.0.3:%d", first.Port())})
			d := outboundtest.NewDNS(t, "to.test. 60 IN MX 10 a.to.test.", "to.test. 60 IN MX 20 b.to.test.",
				"a.to.test. 60 IN A 127.0.0.2", "b.to.test. 60 IN A 127.0.0.3")
			tr := internet(t, d, func(o *outbound.Options) { o.MXPort = first.Port() })
			c, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: routeMX, Domain: "to.test"}))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			wantCodes(t, deliver(t, c, transfer("x\r\n", strings.Fields(two)...)), want)
			if got := second.Count(); (got == 1) != (want == "250,250") {
				t.Errorf("%s: the second host took %d messages", reply, got)
			}
		}
	}
}

// Hosts that all refuse the same are not asked for ever, and none is where there is no other.
func TestFruitlessVisits(t *testing.T) {
	t.Parallel()
	grey := answers("RCPT", "450 4.2.0 grey")
	first, second := outboundtest.NewPeer(t, grey), outboundtest.NewPeer(t, grey)
	c := dial(t, smart(t, nil, first, second))
	for range 10 {
		wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "450")
	}
	if n := len(second.Sessions()); n != 3 {
		t.Errorf("%d sessions with the other host, want 3", n)
	}
	if n := len(first.Sessions()); n != 1 {
		t.Errorf("%d sessions with the host, want 1", n)
	}
}

// Of two hosts one is dead: after it was met once it costs nothing, and it is tried again when
// its time is up, by one caller and with little patience.
func TestDeadHost(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var mu sync.Mutex
	var tried []string
	var patience []time.Duration
	alive := outboundtest.NewPeer(t, outboundtest.Script{})
	tr := smart(t, func(o *outbound.Options) {
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		o.Routes[0].Hosts = []string{"192.0.2.1:25", alive.Addr()}
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			deadline, _ := ctx.Deadline()
			mu.Lock()
			defer mu.Unlock()
			tried, patience = append(tried, address), append(patience, time.Until(deadline).Round(time.Second))
			if address == "192.0.2.1:25" {
				return nil, errNoDial
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	})
	for _, tt := range []struct {
		after time.Duration
		tries int
	}{{0, 2}, {0, 1}, {59 * time.Second, 1}, {time.Second, 2}, {time.Minute, 1}, {time.Minute, 2}, {time.Hour, 2}, {0, 1}} {
		mu.Lock()
		now = now.Add(tt.after)
		tried, patience = nil, nil
		mu.Unlock()
		dial(t, tr)
		if len(tried) != tt.tries || tried[len(tried)-1] != alive.Addr() {
			t.Errorf("after %s: tried %q, want %d", tt.after, tried, tt.tries)
		}
	}
	mu.Lock()
	now = now.Add(time.Hour)
	tried, patience = nil, nil
	mu.Unlock()
	dial(t, tr)
	if want := []time.Duration{5 * time.Second, 30 * time.Second}; !slices.Equal(patience, want) {
		t.Errorf("patience %v, want %v", patience, want)
	}
}

// However many addresses the best host has, the others get their turn.
func preferences(t *testing.T) {
	d := outboundtest.NewDNS(t, "to.test. 60 IN MX 10 a.to.test.", "to.test. 60 IN MX 20 b.to.test.", "to.test. 60 IN MX 30 c.to.test.",
		"b.to.test. 60 IN A 192.0.2.100", "c.to.test. 60 IN A 192.0.2.200")
	for i := range 9 {
		d.Add(fmt.Sprintf("a.to.test. 60 IN A 192.0.2.%d", i+1))
	}
	list := dialled(t, d, "to.test", nil)
	if len(list) != 5 || list[3] != "192.0.2.100:25" || list[4] != "192.0.2.200:25" {
		t.Errorf("dialled %v, want one host of each preference", list)
	}
}

// Addresses where we listen are us, whatever the name.
func ownAddresses(t *testing.T) {
	d := outboundtest.NewDNS(t,
		"to.test. 60 IN MX 10 a.to.test.", "to.test. 60 IN MX 20 b.to.test.", "to.test. 60 IN MX 30 c.to.test.",
		"us.test. 60 IN MX 10 b.to.test.",
		"a.to.test. 60 IN A 192.0.2.1", "b.to.test. 60 IN A 192.0.2.2", "c.to.test. 60 IN A 192.0.2.3")
	interfaces := func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.ParseIP("192.0.2.2"), Mask: net.CIDRMask(24, 32)}}, nil
	}
	broken := func() ([]net.Addr, error) { return nil, errors.New("no interfaces") }
	for _, tt := range []struct {
		listening  string
		interfaces func() ([]net.Addr, error)
		want       int
	}{
		{"192.0.2.2:25", broken, 1}, {"[::]:25", interfaces, 1}, {"0.0.0.0:25", interfaces, 1},
		{"192.0.2.2:587", interfaces, 3}, {"127.0.0.1:25", interfaces, 3}, {"[::]:25", broken, 3},
	} {
		edit := func(o *outbound.Options) {
			o.Listening, o.Interfaces = []netip.AddrPort{netip.MustParseAddrPort(tt.listening)}, tt.interfaces
		}
		if list := dialled(t, d, "to.test", edit); len(list) != tt.want {
			t.Errorf("listening at %s: dialled %v, want %d", tt.listening, list, tt.want)
		}
		_, err := internet(t, d, edit).Resolve(t.Context(), relay.Destination{Route: routeMX, Domain: "us.test"})
		if loops := err != nil && strings.HasPrefix(err.Error(), "554 5.4.6 "); loops != (tt.want == 1) {
			t.Errorf("listening at %s: %v", tt.listening, err)
		}
	}
}
