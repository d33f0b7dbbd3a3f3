package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"postrider/outbound"
	"postrider/policy"
)

// Each of several sources is a route of its own; a single one is the route itself.
func TestSources(t *testing.T) {
	t.Parallel()
	one := source{Address: "198.51.100.7", Hostname: "out7.example.com"}
	two := source{Address: "198.51.100.8", Weight: 3}
	from := func(name string, s source) outbound.Route {
		return outbound.Route{Name: name, MX: true, Source: netip.MustParseAddr(s.Address), Hostname: s.Hostname}
	}
	for _, tt := range []struct {
		sources []source
		routes  []outbound.Route
		ways    []policy.Way
	}{
		{nil, []outbound.Route{{Name: "out", MX: true}}, nil},
		{[]source{one}, []outbound.Route{from("out", one)}, nil},
		{[]source{one, two}, []outbound.Route{from("out@198.51.100.7", one), from("out@198.51.100.8", two)},
			[]policy.Way{{Name: "out@198.51.100.7"}, {Name: "out@198.51.100.8", Weight: 3}}},
	} {
		f := &file{Hostname: "relay.example.com", Routes: []route{{Name: "out", MX: true, Source: tt.sources}}}
		c := f.compose()
		if got, want := fmt.Sprint(c.Outbound.Routes), fmt.Sprint(tt.routes); got != want {
			t.Errorf("routes %s, want %s", got, want)
		}
		if got := c.Policy.Routes[0].Ways; !slices.Equal(got, tt.ways) {
			t.Errorf("ways %v, want %v", got, tt.ways)
		}
	}
}

// What is wrong with sources and proxies is said where it stands.
func TestSourceFaults(t *testing.T) {
	t.Parallel()
	r := &route{Name: "out", MX: true, SOCKS5: "proxy", Source: []source{
		{Address: "eth0"}, {Address: "198.51.100.7", Weight: -1, Hostname: "out7"}, {Address: "198.51.100.7"},
	}}
	rep := newReport("test.yaml", "")
	r.checkSource(rep, "routes[0]")
	err := rep.err()
	if err == nil {
		t.Fatal("no faults")
	}
	for _, want := range []string{
		`"eth0" is not an IP address`, "-1 is less than 1", `"out7" is not a full name`, "198.51.100.7 is given twice",
		"has a source too", `"proxy" is not host:port`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%s", want, err)
		}
	}
}
