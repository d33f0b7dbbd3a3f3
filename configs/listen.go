package configs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"postrider/inbound"
)

type listen struct {
	Name          string    `yaml:"name"`
	Address       string    `yaml:"address"`
	Socket        socket    `yaml:"socket"`
	Allow         []network `yaml:"allow"`
	TLS           listenTLS `yaml:"tls"`
	Auth          string    `yaml:"auth"`
	AuthInsecure  string    `yaml:"auth_insecure"`
	Profile       string    `yaml:"profile"`
	Submission    bool      `yaml:"submission"`
	Strict        bool      `yaml:"strict"`
	HideClient    bool      `yaml:"hide_client"`
	Discard       []string  `yaml:"discard"`
	ProxyProtocol []network `yaml:"proxy_protocol"`
	XClient       []network `yaml:"xclient"`
	MTPriority    []network `yaml:"mt_priority"`
	Verify        []string  `yaml:"verify"`
	Milters       []filter  `yaml:"milters"`

	PolicyService []policyService `yaml:"policy_service"`
	Hooks         []judgeHook     `yaml:"hooks"`

	Limits limits `yaml:"limits"`
}

type listenTLS struct {
	Cert         path          `yaml:"cert"`
	Key          path          `yaml:"key"`
	Certificates []certificate `yaml:"certificates"`
	ClientCA     path          `yaml:"client_ca"`
	// ClientSubjects are whom certificates of the authorities in ClientCA identify: names or
	// distinguished names, all where there are none.
	ClientSubjects []string `yaml:"client_subjects"`
	Mode           string   `yaml:"mode"`
}

type certificate struct {
	Cert path `yaml:"cert"`
	Key  path `yaml:"key"`
}

// own is the certificate that needs no list.
func (t *listenTLS) own() *certificate { return &certificate{t.Cert, t.Key} }

// pairs are all certificates, the listener's own first.
func (t *listenTLS) pairs() []inbound.Certificate {
	var pairs []inbound.Certificate
	if *t.own() != (certificate{}) {
		pairs = append(pairs, inbound.Certificate{CertFile: string(t.Cert), KeyFile: string(t.Key)})
	}
	for _, c := range t.Certificates {
		pairs = append(pairs, inbound.Certificate{CertFile: string(c.Cert), KeyFile: string(c.Key)})
	}
	return pairs
}

// loopback is who may relay where nobody else was allowed: ourselves.
func loopback() []network {
	var allowed [2]network
	for i, text := range [...]string{"127.0.0.0/8", "::1/128"} {
		_ = allowed[i].UnmarshalText([]byte(text))
	}
	return allowed[:]
}

// composeListeners gives each listener to inbound, and who may relay there to policy.
func (f *file) composeListeners(c *Config) {
	for _, l := range f.Listen {
		c.Inbound.Listeners = append(c.Inbound.Listeners, l.compose())
		l.composeVerify(c)
		l.composeMilters(c)
		l.composePolicyServices(c)
		l.composeHooks(c)
		c.Policy.Relay[l.Name] = append(c.Policy.Relay[l.Name], prefixes(l.Allow)...)
	}
}

func (l *listen) compose() inbound.Listener {
	return inbound.Listener{
		Name: l.Name, Address: l.Address, Socket: l.Socket.compose(), Auth: inbound.AuthMode(l.Auth), AuthInsecure: inbound.AuthInsecure(l.AuthInsecure), Profile: inbound.Profile(l.Profile),
		TLS:    inbound.TLSOptions{Certificates: l.TLS.pairs(), ClientCA: string(l.TLS.ClientCA), ClientSubjects: l.TLS.ClientSubjects, Mode: inbound.TLSMode(l.TLS.Mode)},
		Strict: l.Strict, Submission: l.Submission, HideClient: l.HideClient, Discard: l.Discard,
		ProxyProtocol: prefixes(l.ProxyProtocol), XClient: prefixes(l.XClient), MTPriority: prefixes(l.MTPriority), Limits: l.Limits.compose(),
	}
}

// prefixes leaves out what is not valid: that is a fault, and reported.
func prefixes(networks []network) []netip.Prefix {
	var all []netip.Prefix
	for _, n := range networks {
		if n.IsValid() {
			all = append(all, n.Prefix)
		}
	}
	return all
}

func (f *file) checkListeners(r *report) {
	if len(f.Listen) == 0 {
		r.fault("listen", "at least one listener is needed")
	}
	names, addresses := make(map[string]bool), make(map[string]bool)
	for i := range f.Listen {
		l, path := &f.Listen[i], fmt.Sprintf("listen[%d]", i)
		switch {
		case l.Name == "":
			r.fault(path+".name", "a name is needed")
		case names[l.Name]:
			r.fault(path+".name", "the name %q is taken by another one above", l.Name)
		}
		switch {
		case addresses[l.Address] && !strings.HasSuffix(l.Address, ":0"): // 0 is any port
			r.fault(path+".address", "%s is taken by another listener above", l.Address)
		case !isAddress(l.Address):
			r.fault(path+".address", "%q is not an address such as 127.0.0.1:2525, :587 or unix:/run/postrider/smtp.sock", l.Address)
		}
		names[l.Name], addresses[l.Address] = true, true
		l.check(r, path, &f.Users)
	}
}

// check looks at who may use the listener, and how.
func (l *listen) check(r *report, path string, users *users) {
	if l.Auth != "" {
		oneOf(r, path+".auth", l.Auth, "off", "optional", "required")
	}
	if l.AuthInsecure != "" {
		oneOf(r, path+".auth_insecure", l.AuthInsecure, "loopback", "never")
	}
	l.Socket.check(r, path+".socket", l.Address)
	l.TLS.check(r, path+".tls")
	l.checkSessions(r, path)
	l.checkVerify(r, path)
	l.checkMilters(r, path)
	l.checkPolicyServices(r, path)
	l.checkHooks(r, path)
	authenticates := l.Auth == "optional" || l.Auth == "required"
	switch {
	case !authenticates && len(l.Allow) == 0 && l.TLS.ClientCA == "":
		r.fault(path, "nobody may relay here: name networks in allow, or set auth")
	case authenticates && !users.isGiven():
		r.fault(path+".auth", "needs users: {file: ...}, or ldap or http in users")
	case authenticates && len(l.TLS.pairs()) == 0 && (!isLocal(l.Address) || l.AuthInsecure == "never"):
		r.fault(path+".auth", "needs tls: nobody else can authenticate on %s", l.Address)
	}
}

// checkSessions looks at how sessions are held.
func (l *listen) checkSessions(r *report, path string) {
	if l.Profile != "" {
		oneOf(r, path+".profile", l.Profile, "standard", "legacy")
	}
	for i, keyword := range l.Discard {
		if !slices.Contains(inbound.Keywords(), strings.ToUpper(keyword)) {
			r.fault(fmt.Sprintf("%s.discard[%d]", path, i), "%q is not %s", keyword, list(inbound.Keywords()))
		}
	}
	l.checkProxies(r, path+".proxy_protocol", l.ProxyProtocol)
	l.checkProxies(r, path+".xclient", l.XClient)
	l.Limits.check(r, path+".limits", 0)
	if l.Limits.Hops != 0 {
		r.fault(path+".limits.hops", "is for the whole relay: set it in limits")
	}
	if l.Limits.AuthFailures != (rate{}) {
		r.fault(path+".limits.auth_failures", "is for the whole relay: set it in limits")
	}
	if l.Limits.MinFree != 0 {
		r.fault(path+".limits.min_free", "is for the whole relay: set it in limits")
	}
}

// checkProxies wants none of those who speak for clients to be allowed to relay by itself: what
// such a host passes on without saying whose it is would be taken for its own mail.
func (l *listen) checkProxies(r *report, path string, proxies []network) {
	for i, p := range proxies {
		for _, a := range l.Allow {
			if p.IsValid() && a.IsValid() && p.Overlaps(a.Prefix) {
				r.fault(fmt.Sprintf("%s[%d]", path, i), "%s overlaps %s in allow: whatever it passes on without its client's address could be relayed", p, a)
			}
		}
	}
}

func (t *listenTLS) check(r *report, path string) {
	if t.Mode != "" {
		oneOf(r, path+".mode", t.Mode, "starttls", "implicit")
	}
	if len(t.ClientSubjects) > 0 && t.ClientCA == "" {
		r.fault(path+".client_subjects", "needs client_ca: whose certificates they stand in")
	}
	for i, name := range t.ClientSubjects {
		if name == "" {
			r.fault(fmt.Sprintf("%s.client_subjects[%d]", path, i), "a name is needed")
		}
	}
	if t.Mode == "" && t.ClientCA == "" && *t.own() == (certificate{}) && len(t.Certificates) == 0 {
		return
	}
	if *t.own() != (certificate{}) || len(t.Certificates) == 0 {
		t.own().check(r, path)
	}
	for i, c := range t.Certificates {
		c.check(r, fmt.Sprintf("%s.certificates[%d]", path, i))
	}
	if t.ClientCA != "" {
		text, err := os.ReadFile(string(t.ClientCA))
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
			err = fmt.Errorf("%s has no certificate", t.ClientCA)
		}
		if err != nil {
			r.fault(path+".client_ca", "%s", err)
		}
	}
}

func (c *certificate) check(r *report, path string) {
	missing := false
	for _, part := range []struct{ key, file string }{{"cert", string(c.Cert)}, {"key", string(c.Key)}} {
		if part.file == "" {
			r.fault(path+"."+part.key, "a PEM file is needed")
			missing = true
		} else if _, err := os.Stat(part.file); err != nil {
			r.fault(path+"."+part.key, "%s", err)
			missing = true
		}
	}
	if missing {
		return
	}
	if _, err := tls.LoadX509KeyPair(string(c.Cert), string(c.Key)); err != nil {
		r.fault(path, "%s with %s: %s", c.Cert, c.Key, err)
	}
}
