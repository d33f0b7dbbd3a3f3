package configs

import (
	"slices"

	"postrider/outbound"
)

// checkSockets looks at hosts that are Unix sockets: what is about the network has no use there.
func (r *route) checkSockets(rep *report, path string) {
	r.each(path, func(p *provider, at string) {
		if !slices.ContainsFunc(p.Hosts, isSocket) {
			return
		}
		if p.TLS != nil && *p.TLS != outbound.TLSMay && *p.TLS != outbound.TLSNone {
			rep.fault(at+".tls", "there is no TLS to a Unix socket")
		}
		if r.SOCKS5 != "" {
			rep.fault(path+".socks5", "a proxy does not lead to a Unix socket")
		}
		if len(r.Source) > 0 {
			rep.fault(path+".source", "connections to a Unix socket come from no address")
		}
	})
}

func isSocket(host string) bool {
	h, err := outbound.ParseHost(host)
	return err == nil && h.IsSocket()
}
