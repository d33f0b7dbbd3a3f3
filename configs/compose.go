package configs

import (
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"postrider/inbound"
	"postrider/outbound"
	"postrider/policy"
	"postrider/relay"
	"postrider/spool"
)

// compose gives every package its part of the file.
func (f *file) compose() *Config {
	l := f.Limits
	c := &Config{
		Hostname: f.Hostname,
		Data:     string(f.Data),
		Spool:    spool.Options{Dir: filepath.Join(string(f.Data), "spool"), MinFree: int64(l.MinFree), History: f.History.compose()},
		Inbound: inbound.Options{
			Hostname: f.Hostname,
			Users:    f.Users.compose(l.AuthFailures),
			Limits:   l.compose(),
		},
		Policy:   policy.Options{Hostname: f.Hostname, Relay: make(map[string][]netip.Prefix)},
		Receiver: relay.ReceiverOptions{Hostname: f.Hostname, MessageSize: int64(l.MessageSize), Recipients: l.Recipients, Hops: l.Hops, FlowBy: f.Shaping.Flow},
		Admin:    f.Admin.compose(),
		Events:   f.Events.compose(string(f.Data)),
		Log:      Log(f.Log),
	}
	if l.MinFree == 0 {
		c.Spool.MinFree = -1 // no limit, where the spool takes 0 for its default
	}
	if c.Admin.Socket == "" {
		c.Admin.Socket = filepath.Join(c.Data, "admin.sock")
	}
	c.Suppression = f.Suppression.compose()
	f.composeListeners(c)
	f.composeDKIM(c)
	f.composeDelivery(c)
	c.TLSReports = f.composeTLSReports()
	return c
}

// composeDelivery gives the way out its part.
func (f *file) composeDelivery(c *Config) {
	d := f.Delivery
	c.Outbound = outbound.Options{
		Hostname:  f.Hostname,
		DNS:       outbound.DNSOptions{Servers: f.DNS.Servers, Trusted: f.DNS.Trusted, AllowLoopback: f.DNS.AllowLoopback},
		Listening: f.listening(),
		Replies:   f.composeReplies(),
		MXPort:    d.MXPort, MessagesPerConnection: d.MessagesPerConnection,
		// The scheduler closes what has rested for delivery.idle; until then it is to be used.
		IdleTimeout: max(time.Minute, time.Duration(d.Idle)),
	}
	if d.MTASTS {
		c.Outbound.STSDir = filepath.Join(string(f.Data), "mta-sts")
	}
	c.Scheduler = relay.SchedulerOptions{
		Hostname: f.Hostname,
		Retry: relay.Retry{
			First: time.Duration(f.Retry.First), Factor: f.Retry.Factor, Max: time.Duration(f.Retry.Max), Classes: f.Retry.composeClasses(),
			MaxAge: time.Duration(f.Retry.MaxAge), WarnAfter: time.Duration(f.Retry.WarnAfter),
		},
		Connections: d.Connections, ConnectionsTotal: d.ConnectionsTotal,
		Idle: time.Duration(d.Idle), MessagesPerConnection: d.MessagesPerConnection, RetryShare: f.Shaping.RetryShare,
	}
	wanted := f.wanted()
	for _, r := range f.Routes {
		routes, ways := r.composeWays()
		c.Policy.Routes = append(c.Policy.Routes, policy.Route{
			Name: r.Name, When: r.When, MX: r.MX, TLSOptional: r.tlsOptional(), Ways: ways,
			Discard: r.Discard, Hold: r.Hold, Through: r.Hold && !r.delivers(), Wanted: wanted[r.Name],
		})
		if r.delivers() {
			c.Outbound.Routes = append(c.Outbound.Routes, routes...)
		}
	}
	c.Scheduler.Limits = f.composeLimits(c)
}

// listening are the addresses where we take mail, for the way out to know us by. A socket in the
// file system is nobody's mail exchange.
func (f *file) listening() []netip.AddrPort {
	var all []netip.AddrPort
	for _, l := range f.Listen {
		host, port, err := net.SplitHostPort(l.Address)
		if err != nil {
			continue
		}
		if host == "" {
			host = netip.IPv6Unspecified().String()
		}
		if a, err := netip.ParseAddrPort(net.JoinHostPort(host, port)); err == nil {
			all = append(all, a)
		}
	}
	return all
}

// compose gives the route as it goes to a provider of its.
func (r *route) compose(p *provider) outbound.Route {
	composed := outbound.Route{
		Name: r.Name, MX: r.MX, LMTP: r.LMTP, Hosts: p.Hosts, TLS: p.level(), Fingerprints: p.Fingerprints,
		Connections: p.Connections, MessagesPerConnection: p.MessagesPerConnection,
		Rates: p.Rates, Header: outbound.HeaderProfile(p.Header), Fallback: r.Fallback, SOCKS5: r.SOCKS5,
	}
	if p.Auth != (credentials{}) {
		composed.Auth = p.Auth.compose()
		composed.PlainAuth = p.Auth.Plain
	}
	if len(r.Source) == 1 {
		r.Source[0].apply(&composed)
	}
	return composed
}

func (a *credentials) compose() *outbound.Credentials {
	c := &outbound.Credentials{User: a.User, Password: a.Password, Mechanism: a.Mechanism}
	if o := a.OAuth2; o != nil {
		c.OAuth = &outbound.OAuth{
			Provider: o.Provider, Tenant: o.Tenant, ClientID: o.ClientID, ClientSecret: o.ClientSecret,
			TokenFile: string(o.TokenFile), KeyFile: string(o.KeyFile),
			TokenURL: o.TokenURL, DeviceURL: o.DeviceURL, AuthURL: o.AuthURL, Scopes: o.Scopes,
		}
	}
	return c
}

// level is the TLS level. Credentials are for the host that the certificate names
// and nobody else, unless the route says that it does not matter or the host is this one.
func (p *provider) level() outbound.TLSLevel {
	switch {
	case p.TLS != nil:
		return *p.TLS
	case p.Auth != (credentials{}) && !p.Auth.Plain && p.leaves():
		return outbound.TLSVerify
	}
	return outbound.TLSMay
}
