package verify

import (
	"context"
	"net"
	"strings"

	"blitiri.com.ar/go/spf"
	"golang.org/x/net/idna"

	"postrider/relay"
)

// The results of RFC 8601 section 2.7 that we give.
const (
	none      = "none"
	pass      = "pass"
	fail      = "fail"
	neutral   = "neutral"
	temperror = "temperror"
	permerror = "permerror"
)

// spfResult is what SPF says of the reverse-path's domain, or where there is none of the
// name that the client gave (RFC 7208 section 2.4).
type spfResult struct {
	result string
	// domain is whose record was asked, and helo says that it is the client's name.
	domain string
	helo   bool
}

func checkSPF(ctx context.Context, dns *lookups, m *relay.Message) spfResult {
	r := spfResult{result: none, domain: lookedUp(m.Envelope.Sender.Domain)}
	sender := m.Envelope.Sender.Local + "@" + r.domain
	if m.Envelope.Sender.IsNull() {
		r.domain, r.helo = lookedUp(m.Origin.Greeting), true
		sender = "" // the library makes it postmaster at the name
	}
	client := m.Origin.Client.Unmap().WithZone("")
	if !client.IsValid() || !strings.Contains(r.domain, ".") || strings.HasPrefix(r.domain, "[") {
		return r
	}
	result, _ := spf.CheckHostWithSender(net.IP(client.AsSlice()), m.Origin.Greeting, sender, spf.WithContext(ctx), spf.WithResolver(dns))
	r.result = string(result)
	return r
}

// lookedUp gives a domain in the form that DNS has it.
func lookedUp(domain string) string {
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(domain, "."))
	if err != nil {
		return strings.ToLower(domain)
	}
	return strings.ToLower(ascii)
}
