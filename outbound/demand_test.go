package outbound_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// What is foreseen of TLS names the level that a session would be held to, and whose word it is.
func TestDemands(t *testing.T) {
	t.Parallel()
	record := "3 1 1 " + strings.Repeat("ab", 32)
	for _, tt := range []struct {
		name, policy, tlsa string
		level              outbound.TLSLevel
		secure             bool
		want               []string
	}{
		{"no policy", "", "", outbound.TLSMay, false, []string{"MTA-STS policy of to.test: none", "mx.to.test: may"}},
		{"enforced", enforced, "", outbound.TLSMay, false, []string{"MTA-STS policy of to.test: enforce", "mx.to.test: verify, by MTA-STS"}},
		{"only tested", strings.Replace(enforced, "enforce", "testing", 1), "", outbound.TLSEncrypt, false, []string{"MTA-STS policy of to.test: testing", "mx.to.test: encrypt"}},
		{"not to be had", "hello", "", outbound.TLSMay, false, []string{"MTA-STS policy of to.test: cannot be had (sts-policy-invalid): invalid: MTA-STS policy: no version STSv1", "mx.to.test: may"}},
		{"no TLS at all", enforced, "", outbound.TLSNone, false, []string{"mx.to.test: none"}},
		{"DANE", "", record, outbound.TLSDANE, true, []string{"MTA-STS policy of to.test: none", "mx.to.test: dane, by 1 TLSA records"}},
		{"DANE before MTA-STS", enforced, record, outbound.TLSDANE, true, []string{"MTA-STS policy of to.test: enforce", "mx.to.test: dane, by 1 TLSA records"}},
		{"DANE, none usable", enforced, "1 0 1 " + strings.Repeat("ab", 32), outbound.TLSDANE, true, []string{"MTA-STS policy of to.test: enforce", "mx.to.test: verify, by MTA-STS; none of its 1 TLSA records can be used"}},
		{"DANE, no record", "", "", outbound.TLSDANE, true, []string{"MTA-STS policy of to.test: none", "mx.to.test: may; it has no TLSA record that DNSSEC vouches for"}},
		{"DANE, insecure", "", record, outbound.TLSDANE, false, []string{"MTA-STS policy of to.test: none", "mx.to.test: may; no DANE, as DNSSEC does not vouch for the MX records"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, nil, nil, tt.policy)
			if tt.policy == "" {
				g.dns = outboundtest.NewDNS(t, "to.test. 60 IN MX 10 mx.to.test.", "mx.to.test. 60 IN A 127.0.0.1")
			}
			if tt.tlsa != "" {
				g.dns.Add(fmt.Sprintf("_%d._tcp.mx.to.test. 60 IN TLSA %s", g.peer.Port(), tt.tlsa))
			}
			g.dns.Fail("", outboundtest.Fault{Secure: tt.secure})
			tr := g.transportOf(t, func(o *outbound.Options) {
				o.HTTP, o.DNS.Trusted, o.Routes[0].TLS = &http.Client{Transport: g.host}, true, tt.level
			})
			site, err := tr.Resolve(t.Context(), relay.Destination{Route: routeMX, Domain: "to.test"})
			if err != nil {
				t.Fatal(err)
			}
			if got := tr.Demands(t.Context(), site); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%q, want\n%q", got, tt.want)
			}
		})
	}
}
