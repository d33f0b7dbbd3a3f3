package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// toElsewhere makes the route's host smtp.test at 192.0.2.1, which the peer stands in for.
func toElsewhere(o *outbound.Options, p *outboundtest.Peer) {
	o.Routes[0].Hosts = []string{"smtp.test"}
	o.LookupHost = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	}
	o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, p.Addr())
	}
}

var errNoDial = errors.New("no route to host")

// dialled resolves a domain and returns the addresses that a Dial tries, in order.
func dialled(t *testing.T, d *outboundtest.DNS, domain string, edit func(*outbound.Options)) []string {
	t.Helper()
	var mu sync.Mutex
	var list []string
	tr := internet(t, d, func(o *outbound.Options) {
		o.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			list = append(list, address)
			return nil, errNoDial
		}
		if edit != nil {
			edit(o)
		}
	})
	site := resolve(t, tr, relay.Destination{Route: routeMX, Domain: domain})
	if _, err := tr.Dial(t.Context(), site); asReply(t, err).Enhanced != (relay.EnhancedCode{4, 4, 1}) {
		t.Errorf("dial: %v, want 4.4.1", err)
	}
	return list
}

func hostRows() []row {
	return []row{
		{"C01", preference},
		{"C01/families", families},
		{"C02", verdicts},
		{"C01/preferences", preferences},
		{"T04, T06, T12", nextHosts},
		{"C03", nullMX},
		{"C04", ownName},
		{"C04/addresses", ownAddresses},
		{"C04/greeting", ownGreeting},
		{"C05", oddDomains},
		{"C06", smartHosts},
		{"C06/servers", smartServers},
		{"C07", bigAnswers},
		{"C07/servers", failover},
		{"C08", renewal},
		{"C09", barredAddresses},
	}
}

func preference(t *testing.T) {
	d := outboundtest.NewDNS(t,
		"to.test. 60 IN MX 20 c.to.test.", "to.test. 60 IN MX 10 a.to.test.", "to.test. 60 IN MX 10 b.to.test.",
		"a.to.test. 60 IN A 192.0.2.1", "b.to.test. 60 IN A 192.0.2.2", "c.to.test. 60 IN A 192.0.2.3")
	first := make(map[string]int)
	for range 40 {
		list := dialled(t, d, "to.test", nil)
		if len(list) != 3 || list[2] != "192.0.2.3:25" {
			t.Fatalf("dialled %v, want the worst preference last", list)
		}
		first[list[0]]++
	}
	if len(first) != 2 {
		t.Errorf("first hosts %v, want both of equal preference in turn", first)
	}
}

func families(t *testing.T) {
	d := outboundtest.NewDNS(t, "to.test. 60 IN MX 10 a.to.test.", "to.test. 60 IN MX 20 b.to.test.", "b.to.test. 60 IN AAAA 2001:db8::1")
	for i := range 9 {
		d.Add(fmt.Sprintf("a.to.test. 60 IN A 192.0.2.%d", i+1))
	}
	list := dialled(t, d, "to.test", nil)
	if len(list) != 5 || list[4] != "[2001:db8::1]:25" {
		t.Errorf("dialled %v, want five with both families", list)
	}
	d.Add("a.to.test. 60 IN AAAA 2001:db8::2")
	list = dialled(t, d, "to.test", nil)
	if len(list) != 5 || list[0] != "[2001:db8::2]:25" || !strings.HasPrefix(list[1], "192.0.2.") {
		t.Errorf("dialled %v, want the families of a host in turn", list)
	}
}

// verdicts are what Resolve says of domains that cannot be reached, C02 and C03 among them.
func verdicts(t *testing.T) {
	d := outboundtest.NewDNS(t,
		"implicit.test. 60 IN A 192.0.2.1",
		"empty.test. 60 IN TXT x",
		"null.test. 60 IN MX 0 .",
		"mixed.test. 60 IN MX 0 .", "mixed.test. 60 IN MX 10 mx.test.",
		"mx.test. 60 IN A 192.0.2.1",
		"dangling.test. 60 IN MX 10 gone.test.",
		"half.test. 60 IN MX 10 gone.test.", "half.test. 60 IN MX 20 mx.test.",
		"unsure.test. 60 IN MX 10 gone.test.", "unsure.test. 60 IN MX 20 broken.test.",
		"us.test. 60 IN MX 10 relay.test.",
		"relay.test. 60 IN A 192.0.2.9",
	)
	d.Fail("broken.test", outboundtest.Fault{Rcode: outboundtest.ServFail})
	d.Fail("refused.test", outboundtest.Fault{Rcode: outboundtest.Refused})
	d.Fail("silent.test", outboundtest.Fault{Silent: true})
	tr := internet(t, d, nil)
	impatient := internet(t, d, func(o *outbound.Options) { o.DNS.Timeout = 50 * time.Millisecond })
	for _, tt := range []struct{ domain, want string }{
		{"implicit.test", ""},
		{"IMPLICIT.test", ""},
		{"half.test", ""},
		{"mixed.test", ""},
		{"gone.test", "550 5.1.2"},
		{"empty.test", "550 5.4.4"},
		{"dangling.test", "550 5.4.4"},
		{"null.test", "556 5.1.10"},
		{"broken.test", "451 4.4.3"},
		{"refused.test", "451 4.4.3"},
		{"silent.test", "451 4.4.3"},
		{"unsure.test", "451 4.4.3"},
		{"us.test", "554 5.4.6"},
		{"relay.test", "554 5.4.6"},
		{"bad..name", "550 5.1.2"},
	} {
		t.Run(tt.domain, func(t *testing.T) {
			t.Parallel()
			tr := tr
			if tt.domain == "silent.test" {
				tr = impatient
			}
			_, err := tr.Resolve(t.Context(), relay.Destination{Route: routeMX, Domain: tt.domain})
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v, want a site", err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), tt.want+" ") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	t.Run("no such route", func(t *testing.T) {
		t.Parallel()
		_, err := tr.Resolve(t.Context(), relay.Destination{Route: "gone"})
		if r := asReply(t, err); !r.Temporary() {
			t.Errorf("got %s, want temporary", r)
		}
	})
}

func ownName(t *testing.T) {
	d := outboundtest.NewDNS(t,
		"to.test. 60 IN MX 10 a.to.test.", "to.test. 60 IN MX 20 Relay.Test.", "to.test. 60 IN MX 20 b.to.test.", "to.test. 60 IN MX 30 c.to.test.",
		"a.to.test. 60 IN A 192.0.2.1", "b.to.test. 60 IN A 192.0.2.2", "c.to.test. 60 IN A 192.0.2.3")
	if list := dialled(t, d, "to.test", nil); len(list) != 1 || list[0] != "192.0.2.1:25" {
		t.Errorf("dialled %v, want only the host that is better than us", list)
	}
}

// A domain that takes no mail is asked nothing; beside others a null MX is none.
func nullMX(t *testing.T) {
	d := outboundtest.NewDNS(t, "null.test. 60 IN MX 0 .", "null.test. 60 IN A 192.0.2.1",
		"odd.test. 60 IN MX 0 .", "odd.test. 60 IN MX 10 mx.test.", "mx.test. 60 IN A 192.0.2.2")
	_, err := internet(t, d, nil).Resolve(t.Context(), relay.Destination{Route: routeMX, Domain: "null.test"})
	if r := asReply(t, err); !r.Permanent() || r.Enhanced.String() != "5.1.10" {
		t.Errorf("reply %s, want 5.1.10", r)
	}
	if n := d.Queries("null.test.", outboundtest.TypeA); n != 0 {
		t.Errorf("its address was asked for %d times", n)
	}
	if list := dialled(t, d, "odd.test", nil); len(list) != 1 || list[0] != "192.0.2.2:25" {
		t.Errorf("dialled %v, want the host that it has", list)
	}
}

// A host that greets with our name is us, from then on: mail for it fails, and mail that has a better
// host goes there only. The domain is looked at again at once.
func ownGreeting(t *testing.T) {
	clock := newClock()
	d := outboundtest.NewDNS(t, "us.test. 3600 IN MX 10 us.us.test.", "us.us.test. 3600 IN A 127.0.0.2",
		"also.test. 60 IN MX 10 better.test.", "also.test. 60 IN MX 20 us.us.test.", "better.test. 60 IN A 192.0.2.1")
	p := outboundtest.NewPeer(t, outboundtest.Script{Listen: "127.0.0.2:0", Hostname: "Relay.Test"})
	tr := internet(t, d, func(o *outbound.Options) { o.MXPort, o.Now = p.Port(), clock.time })
	for _, domain := range []string{"us.test", "[127.0.0.2]"} {
		clock.pass(3 * time.Hour)
		to := relay.Destination{Route: routeMX, Domain: domain}
		site := resolve(t, tr, to)
		_, err := tr.Dial(t.Context(), site)
		if r := asReply(t, err); r.Enhanced.String() != "4.4.6" || !r.Temporary() {
			t.Errorf("%s: dial says %s, want 4.4.6", domain, r)
		}
		if site.Moved != nil && !site.Moved() {
			t.Errorf("%s: the site still stands", domain)
		}
		_, err = tr.Resolve(t.Context(), to)
		if r := asReply(t, err); r.Enhanced.String() != "5.4.6" || !r.Permanent() {
			t.Errorf("%s: afterwards %s, want 5.4.6", domain, r)
		}
		if better := resolve(t, tr, relay.Destination{Route: routeMX, Domain: "also.test"}); strings.Contains(better.Key, "us.us.test") {
			t.Errorf("%s: the site with a better host is %q", domain, better.Key)
		}
	}
}

func oddDomains(t *testing.T) {
	d := outboundtest.NewDNS(t,
		"xn--bcher-kva.test. 60 IN MX 10 mx.test.", "mx.test. 60 IN A 192.0.2.1",
		"alias.test. 60 IN CNAME xn--bcher-kva.test.",
		"totarget.test. 60 IN MX 10 alias-host.test.", "alias-host.test. 60 IN CNAME mx.test.")
	for _, tt := range []struct{ domain, want string }{
		{"bücher.test", "192.0.2.1:25"},
		{"alias.test", "192.0.2.1:25"},
		{"totarget.test", "192.0.2.1:25"},
		{"[192.0.2.7]", "192.0.2.7:25"},
		{"[IPv6:2001:db8::7]", "[2001:db8::7]:25"},
	} {
		if list := dialled(t, d, tt.domain, nil); len(list) != 1 || list[0] != tt.want {
			t.Errorf("%s: dialled %v, want %s", tt.domain, list, tt.want)
		}
	}
}

func smartHosts(t *testing.T) {
	lookup := func(_ context.Context, host string) ([]netip.Addr, error) {
		if host == "good.test" {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	for _, tt := range []struct {
		hosts []string
		want  string
	}{
		{[]string{"gone.test"}, "451 4.4.3"},
		{[]string{"gone.test:587", "gone2.test"}, "451 4.4.3"},
		{[]string{"gone.test", "good.test"}, ""},
		{[]string{"gone.test", "[192.0.2.2]:26"}, ""},
	} {
		tr := smart(t, func(o *outbound.Options) { o.Routes[0].Hosts, o.LookupHost = tt.hosts, lookup })
		site, err := tr.Resolve(t.Context(), relay.Destination{Route: routeSmart})
		switch {
		case tt.want != "":
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%v: got %v, want %s", tt.hosts, err, tt.want)
			}
		case err != nil:
			t.Errorf("%v: %v", tt.hosts, err)
		case !site.Smart:
			t.Errorf("%v: not a smart site", tt.hosts)
		}
	}
}

// Names of smart hosts are asked of the configured servers, one after the other.
func smartServers(t *testing.T) {
	bad, good := outboundtest.NewDNS(t), outboundtest.NewDNS(t, "smtp.test. 60 IN A 192.0.2.1")
	bad.Fail("", outboundtest.Fault{Rcode: outboundtest.ServFail})
	for _, tt := range []struct{ host, want string }{{"smtp.test", ""}, {"gone.test", "451 4.4.3"}} {
		tr := smart(t, func(o *outbound.Options) {
			o.Routes[0].Hosts, o.DNS.Servers = []string{tt.host}, []string{bad.Addr(), good.Addr()}
		})
		_, err := tr.Resolve(t.Context(), relay.Destination{Route: routeSmart})
		if err == nil != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.host, err, tt.want)
		}
	}
}

// A look-up ends with its context, however patient it is with the server.
func TestResolveStops(t *testing.T) {
	t.Parallel()
	d := outboundtest.NewDNS(t)
	d.Fail("", outboundtest.Fault{Silent: true})
	tr := internet(t, d, func(o *outbound.Options) { o.DNS.Timeout = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := tr.Resolve(ctx, relay.Destination{Route: routeMX, Domain: "to.test"})
		done <- err
	}()
	cancel()
	if r := asReply(t, <-done); !r.Temporary() {
		t.Errorf("reply = %s, want temporary", r)
	}
}

func bigAnswers(t *testing.T) {
	d := outboundtest.NewDNS(t, "cut.test. 60 IN MX 10 mx.test.", "mx.test. 60 IN A 192.0.2.1")
	d.Fail("cut.test", outboundtest.Fault{Truncate: true})
	if list := dialled(t, d, "cut.test", nil); len(list) != 1 {
		t.Errorf("dialled %v", list)
	}
	if n := d.QueriesOver("tcp", "cut.test", outboundtest.TypeMX); n != 1 {
		t.Errorf("%d questions over TCP, want 1", n)
	}
	for i := range 200 {
		d.Add(fmt.Sprintf("many.test. 60 IN MX %d mx%d.many.test.", 200-i, i), fmt.Sprintf("mx%d.many.test. 60 IN A 192.0.2.%d", i, i+1))
	}
	list := dialled(t, d, "many.test", nil)
	if len(list) != 5 || list[0] != "192.0.2.200:25" {
		t.Errorf("dialled %v, want the five best", list)
	}
}

func failover(t *testing.T) {
	records := []string{"to.test. 60 IN MX 10 mx.test.", "mx.test. 60 IN A 192.0.2.1"}
	for _, fault := range []outboundtest.Fault{{Rcode: outboundtest.ServFail}, {Silent: true}} {
		bad, good := outboundtest.NewDNS(t, records...), outboundtest.NewDNS(t, records...)
		bad.Fail("", fault)
		list := dialled(t, bad, "to.test", func(o *outbound.Options) {
			o.DNS.Servers, o.DNS.Timeout = []string{bad.Addr(), good.Addr()}, 300*time.Millisecond
		})
		if len(list) != 1 {
			t.Errorf("dialled %v", list)
		}
	}
}

// A site says when it is to be resolved again, and then the new answer counts.
func renewal(t *testing.T) {
	d := outboundtest.NewDNS(t, "to.test. 300 IN MX 10 a.test.", "a.test. 900 IN A 192.0.2.1", "b.test. 900 IN A 192.0.2.2")
	start := time.Now()
	now := start
	tr := internet(t, d, func(o *outbound.Options) { o.Now = func() time.Time { return now } })
	to := relay.Destination{Route: routeMX, Domain: "to.test"}
	site := resolve(t, tr, to)
	if got := site.Expires.Sub(start); got != 300*time.Second || site.Key != "a.test:25 tls=none" {
		t.Errorf("site %q expires in %s, want 5m", site.Key, got)
	}
	d.Remove("to.test")
	d.Add("to.test. 5 IN MX 10 b.test.", "to.test. 5 IN MX 10 a.test.")
	now = site.Expires
	site = resolve(t, tr, to)
	if got := site.Expires.Sub(now); got != time.Minute || site.Key != "a.test:25,b.test:25 tls=none" {
		t.Errorf("site %q expires in %s, want the least of 1m", site.Key, got)
	}
}

func barredAddresses(t *testing.T) {
	d := outboundtest.NewDNS(t)
	addrs := []string{"127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "255.255.255.255"}
	for i, a := range addrs {
		d.Add(fmt.Sprintf("bad%d.test. 60 IN A %s", i, a), fmt.Sprintf("some.test. 60 IN A %s", a))
	}
	d.Add("some.test. 60 IN A 192.0.2.1", "some.test. 60 IN AAAA ::1", "some.test. 60 IN AAAA fe80::1", "some.test. 60 IN AAAA ::ffff:127.0.0.1")
	strict := func(o *outbound.Options) { o.DNS.AllowLoopback = false }
	tr := internet(t, d, strict)
	domains := []string{"[127.0.0.1]", "[IPv6:::1]"}
	for i := range addrs {
		domains = append(domains, fmt.Sprintf("bad%d.test", i))
	}
	for _, domain := range domains {
		_, err := tr.Resolve(t.Context(), relay.Destination{Route: routeMX, Domain: domain})
		if err == nil || !strings.HasPrefix(err.Error(), "550 5.4.4 ") {
			t.Errorf("%s: got %v, want 550 5.4.4", domain, err)
		}
	}
	if list := dialled(t, d, "some.test", strict); len(list) != 1 || list[0] != "192.0.2.1:25" {
		t.Errorf("dialled %v, want the one address that is for mail", list)
	}
}

// The key of a site is its hosts and who we are to them, whatever the order.
func TestSiteKey(t *testing.T) {
	t.Parallel()
	key := func(r outbound.Route) string {
		r.Name = routeSmart
		tr := newTransport(t, outbound.Options{Hostname: "relay.test", Routes: []outbound.Route{r}}, nil)
		return resolve(t, tr, relay.Destination{Route: routeSmart}).Key
	}
	auth := &outbound.Credentials{User: "u", Password: "secret"}
	base := outbound.Route{Hosts: []string{"192.0.2.1", "192.0.2.2:587"}}
	swapped := outbound.Route{Hosts: []string{"192.0.2.2:587", "192.0.2.1:25"}}
	if key(base) != key(swapped) {
		t.Errorf("%q is not %q", key(base), key(swapped))
	}
	for _, r := range []outbound.Route{
		{Hosts: base.Hosts, TLS: outbound.TLSVerify}, {Hosts: base.Hosts, Auth: auth}, {Hosts: base.Hosts[:1]},
	} {
		if key(r) == key(base) {
			t.Errorf("%+v shares the key %q", r, key(base))
		}
		if strings.Contains(key(r), "secret") {
			t.Errorf("key %q has the password", key(r))
		}
	}
}
