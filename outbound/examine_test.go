package outbound

import (
	"net/netip"
	"testing"
	"time"

	"postrider/relay"
)

// Operators see each address of a site, how often it failed, and how long it is left for last.
func TestExamine(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := newHealth(func() time.Time { return now })
	tr := &Transport{health: h}
	bad := netip.MustParseAddrPort("192.0.2.2:25")
	r := &Route{Name: "r"}
	h.fail(r.place(bad))
	h.fail(r.place(bad))
	h.fail((&Route{Name: "another"}).place(netip.MustParseAddrPort("192.0.2.1:25"))) // and only there
	site := &relay.Site{Hosts: &hostSet{route: r, hosts: []hostAddrs{{name: "mx1.test", port: 25, addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), bad.Addr()}}}}}
	all := tr.Examine(site)
	if len(all) != 2 || all[0] != (relay.AddressHealth{Host: "mx1.test", Addr: "192.0.2.1:25"}) || all[1].Failures != 2 || !all[1].Until.Equal(now.Add(2*time.Minute)) {
		t.Errorf("got %+v", all)
	}
	now = now.Add(time.Hour)
	if all := tr.Examine(site); all[1].Failures != 2 || !all[1].Until.IsZero() {
		t.Errorf("later: %+v", all[1])
	}
	h.pass(r.place(bad))
	if all := tr.Examine(site); all[1].Failures != 0 {
		t.Errorf("well again: %+v", all[1])
	}
}
