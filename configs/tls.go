package configs

import (
	"fmt"

	"postrider/outbound"
)

// checkTLS looks at what the levels of TLS need.
func (f *file) checkTLS(rep *report) {
	for i := range f.Routes {
		f.Routes[i].each(fmt.Sprintf("routes[%d]", i), func(p *provider, path string) { p.checkTLS(rep, path, f.DNS.Trusted) })
	}
}

func (p *provider) checkTLS(rep *report, path string, trusted bool) {
	level := p.level()
	switch {
	case level == outbound.TLSDANE && !trusted:
		rep.fault(path+".tls", "dane goes by DNSSEC: it needs dns.trusted: true, and dns.servers that validate, on this host or over a way that is safe")
	case level == outbound.TLSFingerprint && len(p.Fingerprints) == 0:
		rep.fault(path+".tls", "needs fingerprints")
	case level != outbound.TLSFingerprint && len(p.Fingerprints) > 0:
		rep.fault(path+".fingerprints", "need tls: fingerprint")
	}
	for k, text := range p.Fingerprints {
		if _, err := outbound.ParseFingerprint(text); err != nil {
			rep.fault(fmt.Sprintf("%s.fingerprints[%d]", path, k), "%s", err)
		}
	}
}
