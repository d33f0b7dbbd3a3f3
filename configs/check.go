package configs

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"postrider/outbound"
	"postrider/relay"
)

// check reports what is wrong with the values by themselves and with each other. What
// policy and dkim look at is left to them.
func (f *file) check(r *report) {
	f.checkHostname(r)
	f.checkListeners(r)
	f.Users.check(r)
	f.checkNumbers(r)
	f.checkDNS(r)
	f.Retry.checkClasses(r)
	f.checkReplies(r)
	f.checkTLS(r)
	f.checkTLSReport(r)
	f.checkFallbacks(r)
	for i := range f.Routes {
		f.Routes[i].check(r, fmt.Sprintf("routes[%d]", i))
	}
	f.Admin.check(r)
	oneOf(r, "log.level", f.Log.Level, "debug", "info", "warn", "error")
	oneOf(r, "log.format", f.Log.Format, "auto", "json", "text")
}

func oneOf(r *report, path, value string, words ...string) {
	if !slices.Contains(words, value) {
		r.cannotRead(path, "%q is not %s", value, list(words))
	}
}

// checkHostname wants a name that strangers will take for one (conformance S06).
func (f *file) checkHostname(r *report) {
	const how = "give the name that its address resolves to, such as relay.example.com, as hostname in the file or with --hostname"
	_, err := relay.ParseAddress("postmaster@" + f.Hostname)
	switch {
	case f.Hostname == "":
		r.fault("hostname", "the system has none: %s", how)
	case err != nil || f.Hostname[0] == '[':
		r.fault("hostname", "%q is not a host name: %s", f.Hostname, how)
	case !isQualified(f.Hostname) && slices.ContainsFunc(f.Routes, func(r route) bool { return r.leaves() }):
		r.fault("hostname", "%q is not a full name, and mail leaves this host under it: %s", f.Hostname, how)
	}
}

// isQualified says whether a name can be one on the Internet.
func isQualified(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return strings.Contains(name, ".") && !strings.HasSuffix(name, ".localdomain") && !strings.HasSuffix(name, ".localhost")
}

// leaves says whether the route takes mail to another host.
func (r *route) leaves() bool {
	return r.MX || r.provider.leaves() || slices.ContainsFunc(r.Providers, func(s share) bool { return s.leaves() })
}

// leaves says whether any of the hosts is another one.
func (p *provider) leaves() bool {
	return slices.ContainsFunc(p.Hosts, func(text string) bool {
		host, err := outbound.ParseHost(text)
		return err == nil && !host.Addr.IsLoopback() && host.Name != "localhost" && !strings.HasSuffix(host.Name, ".localhost")
	})
}

// check looks at what the route is for the client; policy sees to its name and condition.
func (r *route) check(rep *report, path string) {
	switch {
	case r.MX && len(r.Hosts) > 0:
		rep.fault(path, "has both mx and hosts: mail goes to the recipients' own hosts, or to these")
	case !r.delivers() && !r.Discard && !r.Hold:
		rep.fault(path, "needs hosts, or mx: true")
	}
	r.checkEnds(rep, path)
	r.checkSource(rep, path)
	r.checkProviders(rep, path)
	if r.MX && r.Auth != (credentials{}) && r.Auth.compose().Validate() == nil {
		rep.fault(path+".auth", "credentials are for hosts, not for mx")
		return
	}
	r.each(path, func(p *provider, path string) { p.check(rep, path) })
}

// check looks at the hosts, and at what is said to them.
func (p *provider) check(rep *report, path string) {
	for i, host := range p.Hosts {
		if _, err := outbound.ParseHost(host); err != nil {
			rep.fault(fmt.Sprintf("%s.hosts[%d]", path, i), "%q: %s", host, err)
		}
	}
	for _, n := range []struct {
		key   string
		value int
	}{{"connections", p.Connections}, {"messages_per_connection", p.MessagesPerConnection}} {
		if n.value < 0 {
			rep.fault(path+"."+n.key, "%d is less than 1", n.value)
		}
	}
	p.checkHeader(rep, path)
	if p.Auth != (credentials{}) {
		p.checkAuth(rep, path)
	}
}

// checkAuth looks at the credentials, and whether they are safe on their way.
func (p *provider) checkAuth(rep *report, path string) {
	invalid := flatten(p.Auth.compose().Validate())
	for _, err := range invalid {
		for _, err := range flatten(err) {
			rep.fault(path+".auth", "%s", err)
		}
	}
	switch {
	case len(invalid) > 0:
	case p.Auth.Password == "" && p.Auth.OAuth2 == nil:
		rep.fault(path+".auth", "needs a user and a password, or oauth2")
	case !p.level().Proves() && !p.Auth.Plain && p.leaves():
		rep.fault(path+".tls", "credentials are sent over verified TLS only: set tls: verify, or plain: true in auth to send them all the same")
	}
}

// isAddress accepts host:port, :port and unix:/path.
func isAddress(text string) bool {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return path != ""
	}
	_, port, err := net.SplitHostPort(text)
	_, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil
}

func isLocal(address string) bool { return strings.HasPrefix(address, "unix:") || isLoopback(address) }

// isLoopback says whether host:port can be reached from this host only.
func isLoopback(text string) bool {
	host, _, err := net.SplitHostPort(text)
	addr, _ := netip.ParseAddr(host)
	return err == nil && isAddress(text) && (host == "localhost" || addr.IsLoopback())
}

func (f *file) checkDNS(r *report) {
	for i, s := range f.DNS.Servers {
		_, err := netip.ParseAddr(s)
		_, withPort := netip.ParseAddrPort(s)
		if err != nil && withPort != nil {
			r.fault(fmt.Sprintf("dns.servers[%d]", i), "%q is not an address such as 127.0.0.1:53", s)
		}
	}
}

// checkNumbers wants what is counted to be at least one, and the retries to make sense.
func (f *file) checkNumbers(r *report) {
	d, t := &f.Delivery, &f.Retry
	f.Limits.check(r, "limits", 1)
	f.Shaping.check(r)
	f.History.check(r)
	f.Suppression.check(r)
	f.Events.check(r)
	for _, n := range []struct {
		path  string
		value int64
	}{
		{"delivery.connections", int64(d.Connections)}, {"delivery.connections_total", int64(d.ConnectionsTotal)},
		{"delivery.idle", int64(d.Idle)}, {"delivery.messages_per_connection", int64(d.MessagesPerConnection)},
		{"retry.first", int64(t.First)}, {"retry.max_age", int64(t.MaxAge)},
	} {
		if n.value < 1 {
			r.fault(n.path, "must be more than 0")
		}
	}
	if d.MXPort < 1 || d.MXPort > 65535 {
		r.fault("delivery.mx_port", "%d is not a port: want 1 to 65535", d.MXPort)
	}
	if t.Factor < 1 {
		r.fault("retry.factor", "%g would make each wait shorter than the one before: want 1 or more", t.Factor)
	}
	if t.Max < t.First {
		r.fault("retry.max", "is less than retry.first")
	}
}
