package policy

import (
	"net/netip"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"postrider/relay"
)

// environment is what conditions can name, with the types that they are checked against.
type environment struct {
	Client     client                   `expr:"client"`
	Listener   string                   `expr:"listener"`
	User       string                   `expr:"user"`
	TLS        bool                     `expr:"tls"`
	Sender     address                  `expr:"sender"`
	Recipient  address                  `expr:"recipient"`
	Recipients []address                `expr:"recipients"`
	Size       int                      `expr:"size"`
	Subject    string                   `expr:"subject"`
	Header     func(name string) string `expr:"header"`
}

type client struct {
	IP   string `expr:"ip"`
	Name string `expr:"name"`
}

type address struct {
	Address string `expr:"address"`
	Local   string `expr:"local"`
	Domain  string `expr:"domain"`
}

// facts is the environment as conditions are run with it: field for field the same, each
// value in an interface already. The machine wants interfaces, and so makes them once
// for a command and not once for every use.
type facts struct {
	Client     clientFacts
	Listener   any
	User       any
	TLS        any
	Sender     addressFacts
	Recipient  addressFacts
	Recipients any
	Size       any
	Subject    any
	Header     any
}

type clientFacts struct{ IP, Name any }

type addressFacts struct{ Address, Local, Domain any }

func (f *facts) setSession(o *relay.Origin) {
	f.Client = clientFacts{IP: clientAddr(o).String(), Name: o.Greeting}
	f.Listener, f.User, f.TLS = o.Listener, o.User, o.TLS != ""
}

func (a *addressFacts) set(v address) {
	*a = addressFacts{Address: v.Address, Local: v.Local, Domain: v.Domain}
}

func (f *facts) setMessage(m *relay.Message, hostname string) {
	recipients := make([]address, len(m.Envelope.Recipients))
	for i, r := range m.Envelope.Recipients {
		recipients[i] = recipientAddress(r.Address, hostname)
	}
	f.Recipients, f.Size = recipients, int(m.Size)
	f.Subject = headerValue(m.Header, "Subject")
	f.Header = func(name string) string { return headerValue(m.Header, name) }
}

func senderAddress(a relay.Address) address {
	a.Domain = lookedUp(a.Domain)
	return address{Address: a.String(), Local: a.Local, Domain: a.Domain}
}

// recipientAddress gives the bare "postmaster" our own domain.
func recipientAddress(a relay.Address, hostname string) address {
	if a.Domain == "" {
		a.Domain = hostname
	}
	return senderAddress(a)
}

// lookedUp gives a domain in the form that it will be looked up in, so that a wide letter or an
// ideographic full stop (UTS 46) gets nobody past a rule or onto another route.
func lookedUp(domain string) string {
	for i := range len(domain) {
		if domain[i] < utf8.RuneSelf {
			continue
		}
		if mapped, err := idna.Lookup.ToUnicode(domain); err == nil {
			return mapped
		}
		break
	}
	return domain
}

// clientAddr is the client's address for comparisons: an IPv4 address is one in IPv6
// clothes too, a zone names an interface of ours and not the client, and a client without
// an address is on a Unix socket or is ourselves.
func clientAddr(o *relay.Origin) netip.Addr {
	if !o.Client.IsValid() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return o.Client.Unmap().WithZone("")
}
