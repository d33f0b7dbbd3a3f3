package outbound_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// What each kind of TLSA record makes of the host's certificate, which no root vouches for.
func TestDANE(t *testing.T) {
	t.Parallel()
	config, _ := outboundtest.NewCertificate(t, "mx.to.test")
	other, _ := outboundtest.NewCertificate(t, "other.test")
	leaf, stranger := config.Certificates[0].Leaf, other.Certificates[0].Leaf
	hash := func(b []byte) string { sum := sha256.Sum256(b); return hex.EncodeToString(sum[:]) }
	long := func(b []byte) string { sum := sha512.Sum512(b); return hex.EncodeToString(sum[:]) }
	const secure, insecure = true, false
	broken := outboundtest.Fault{Rcode: dns.RcodeServerFailure, Secure: true}
	for _, tt := range []struct {
		name   string
		config *tls.Config
		secure bool
		tlsa   string // what follows TLSA
		fault  outboundtest.Fault
		want   string
	}{
		{"EE, key, SHA-256", config, secure, "3 1 1 " + hash(leaf.RawSubjectPublicKeyInfo), outboundtest.Fault{}, "TLS"},
		{"EE, key, exact", config, secure, "3 1 0 " + hex.EncodeToString(leaf.RawSubjectPublicKeyInfo), outboundtest.Fault{}, "TLS"},
		{"EE, certificate, SHA-512", config, secure, "3 0 2 " + long(leaf.Raw), outboundtest.Fault{}, "TLS"},
		{"EE, of another name", other, secure, "3 1 1 " + hash(stranger.RawSubjectPublicKeyInfo), outboundtest.Fault{}, "TLS"},
		{"EE, of another key", config, secure, "3 1 1 " + hash(stranger.RawSubjectPublicKeyInfo), outboundtest.Fault{}, "4.7.5"},
		{"TA", config, secure, "2 0 1 " + hash(leaf.Raw), outboundtest.Fault{}, "TLS"},
		{"TA, of another name", other, secure, "2 0 1 " + hash(stranger.Raw), outboundtest.Fault{}, "4.7.5"},
		{"EE, no TLS", nil, secure, "3 1 1 " + hash(leaf.Raw), outboundtest.Fault{}, "4.7.4"},
		{"not usable", other, secure, "1 0 1 " + hash(leaf.Raw), outboundtest.Fault{}, "TLS"},
		{"not usable, no TLS", nil, secure, "1 0 1 " + hash(leaf.Raw), outboundtest.Fault{}, "4.7.4"},
		{"none", nil, secure, "", outboundtest.Fault{}, "clear"},
		{"look-up fails", config, secure, "", broken, "4.7.4"},
		{"insecure, of another key", config, insecure, "3 1 1 " + hash(stranger.Raw), outboundtest.Fault{}, "TLS"},
		{"insecure, no TLS", nil, insecure, "3 1 1 " + hash(leaf.Raw), outboundtest.Fault{}, "clear"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, tt.config, nil, "")
			name := fmt.Sprintf("_%d._tcp.mx.to.test.", g.peer.Port())
			if tt.tlsa != "" {
				g.dns.Add(name + " 60 IN TLSA " + tt.tlsa)
			}
			g.dns.Fail("", outboundtest.Fault{Secure: tt.secure})
			if tt.fault.Rcode != 0 {
				g.dns.Fail(name, tt.fault)
			}
			tr := internet(t, g.dns, func(o *outbound.Options) {
				o.MXPort, o.DNS.Trusted, o.Routes[0].TLS = g.peer.Port(), true, outbound.TLSDANE
			})
			if got := g.send(t, tr); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			// A resolver that is not trusted proves nothing.
			tr = internet(t, g.dns, func(o *outbound.Options) { o.MXPort, o.Routes[0].TLS = g.peer.Port(), outbound.TLSDANE })
			want := "clear"
			if tt.config != nil {
				want = "TLS"
			}
			if got := g.send(t, tr); got != want {
				t.Errorf("without trust: got %s, want %s", got, want)
			}
		})
	}
}

// DANE decides before MTA-STS, which decides where there is no DANE.
func TestDANEBeforeMTASTS(t *testing.T) {
	t.Parallel()
	config, _ := outboundtest.NewCertificate(t, "mx.to.test")
	sum := sha256.Sum256(config.Certificates[0].Leaf.RawSubjectPublicKeyInfo)
	for record, want := range map[string]string{"3 1 1 " + hex.EncodeToString(sum[:]): "TLS", "": "4.7.5"} {
		g := newGuarded(t, config, nil, enforced)
		if record != "" {
			g.dns.Add(fmt.Sprintf("_%d._tcp.mx.to.test. 60 IN TLSA %s", g.peer.Port(), record))
		}
		g.dns.Fail("", outboundtest.Fault{Secure: true})
		_, g.roots = outboundtest.NewCertificate(t, "nobody.test")
		tr := g.transportOf(t, func(o *outbound.Options) { o.DNS.Trusted, o.Routes[0].TLS = true, outbound.TLSDANE })
		if got := g.send(t, tr); got != want {
			t.Errorf("TLSA %q: got %s, want %s", record, got, want)
		}
	}
}

// A certificate, or a public key, that the route names is as good as any root; nothing else is.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	config, roots := outboundtest.NewCertificate(t, "127.0.0.1")
	leaf := config.Certificates[0].Leaf
	certificate, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	for name, tt := range map[string]struct {
		print string
		ok    bool
	}{
		"certificate": {hex.EncodeToString(certificate[:]), true},
		"key":         {strings.ToUpper(strings.Join(pairs(hex.EncodeToString(key[:])), ":")), true},
		"another":     {strings.Repeat("00", 32), false},
	} {
		p := outboundtest.NewPeer(t, outboundtest.Script{TLS: config})
		tr := smart(t, func(o *outbound.Options) {
			o.Routes[0].TLS, o.Routes[0].Fingerprints, o.RootCAs = outbound.TLSFingerprint, []string{tt.print}, roots
		}, p)
		if tt.ok {
			dial(t, tr)
		} else if r := dialFault(t, tr); r.Enhanced.String() != "4.7.5" || r.Class != relay.ClassTLS {
			t.Errorf("%s: reply = %s of class %q", name, r, r.Class)
		}
	}
	for _, r := range []outbound.Route{
		{TLS: outbound.TLSFingerprint}, {Fingerprints: []string{strings.Repeat("00", 32)}}, {TLS: outbound.TLSFingerprint, Fingerprints: []string{"00"}},
	} {
		r.Name, r.Hosts = "a", []string{"127.0.0.1"}
		if r.Validate() == nil {
			t.Errorf("%+v passes", r)
		}
	}
}

func pairs(text string) (list []string) {
	for i := 0; i < len(text); i += 2 {
		list = append(list, text[i:i+2])
	}
	return list
}

// authority makes a root, and a certificate of it for the names.
func authority(t *testing.T, names ...string) (config *tls.Config, root []byte) {
	t.Helper()
	ca, _ := outboundtest.NewCertificate(t, "ca.test")
	return outboundtest.Issue(t, ca, names...), ca.Certificates[0].Leaf.Raw
}

// With DANE-TA the certificate may name the TLSA base domain, the host, the recipients' domain or
// what that is an alias of (RFC 7672 section 3.2.2), and nothing else.
func TestDANENames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"mx.to.test": "TLS", "to.test": "TLS", "alias.test": "TLS", "other.test": "4.7.5"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, root := authority(t, name)
			sum := sha256.Sum256(root)
			g := newGuarded(t, config, nil, "")
			g.dns.Add(g.tlsaName() + " 60 IN TLSA 2 0 1 " + hex.EncodeToString(sum[:]))
			if name == "alias.test" {
				g.dns.Remove("to.test.")
				g.dns.Add("to.test. 60 IN CNAME alias.test.", "alias.test. 60 IN MX 10 mx.to.test.")
			}
			g.dns.Fail("", outboundtest.Fault{Secure: true})
			if got := g.send(t, g.dane(t)); got != want {
				t.Errorf("certificate of %s: %s, want %s", name, got, want)
			}
		})
	}
}

func (g *guarded) dane(t *testing.T) *outbound.Transport {
	t.Helper()
	return g.transportOf(t, func(o *outbound.Options) { o.DNS.Trusted, o.Routes[0].TLS = true, outbound.TLSDANE })
}

// A session with a certificate for one domain is not for another that has the same hosts.
func TestDANENameIsForItsDomain(t *testing.T) {
	t.Parallel()
	config, root := authority(t, "to.test", "also.test")
	sum := sha256.Sum256(root)
	g := newGuarded(t, config, nil, "")
	g.dns.Add(g.tlsaName() + " 60 IN TLSA 2 0 1 " + hex.EncodeToString(sum[:]))
	g.dns.Fail("", outboundtest.Fault{Secure: true})
	tr := g.dane(t)
	c, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: routeMX, Domain: "to.test"}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for to, want := range map[string]string{"a@to.test": "250", "a@also.test": "250", "a@third.test": "451"} {
		wantCodes(t, deliver(t, c, transfer("x\r\n", to)), want)
	}
	if got := len(g.peer.Messages()); got != 2 {
		t.Errorf("%d messages, want 2", got)
	}
}

// A host that is an alias has its records under the name that it stands for, or else under its own,
// also where DNSSEC vouches for no more than the alias (RFC 7672 section 2.2.2). The name is what
// the host is asked for in TLS, too.
func TestDANEAlias(t *testing.T) {
	t.Parallel()
	config, _ := outboundtest.NewCertificate(t, "any.test")
	sum := sha256.Sum256(config.Certificates[0].Leaf.RawSubjectPublicKeyInfo)
	record := "3 1 1 " + hex.EncodeToString(sum[:])
	wrong := "3 1 1 " + strings.Repeat("00", 32)
	for _, tt := range []struct {
		name, target, own string
		insecure          string // the name whose answers no one vouches for
		want, asked       string
	}{
		{"of the target", record, wrong, "", "TLS", "real.to.test"},
		{"of the host", "", record, "", "TLS", "mx.to.test"},
		{"target insecure", wrong, record, "real.to.test.", "TLS", "mx.to.test"},
		{"of neither", "", "", "", "TLS", "mx.to.test"},
		{"of another key", wrong, "", "", "4.7.5", "real.to.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t, config, nil, "")
			g.dns.Remove("mx.to.test.")
			g.dns.Add("mx.to.test. 60 IN CNAME real.to.test.", "real.to.test. 60 IN A 127.0.0.1")
			for name, record := range map[string]string{"real.to.test.": tt.target, "mx.to.test.": tt.own} {
				if record != "" {
					g.dns.Add(fmt.Sprintf("_%d._tcp.%s 60 IN TLSA %s", g.peer.Port(), name, record))
				}
			}
			g.dns.Fail("", outboundtest.Fault{Secure: true})
			if tt.insecure != "" {
				g.dns.Fail(tt.insecure, outboundtest.Fault{})
			}
			if got := g.send(t, g.dane(t)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if tt.want == "TLS" {
				if got := g.peer.Sessions()[0].ServerName; got != tt.asked {
					t.Errorf("asked for %s, want %s", got, tt.asked)
				}
			}
		})
	}
}

// An answer with an alias and nothing behind it does not say that there is nothing: what it stands
// for is asked for, and is as safe as the whole way there.
func TestDanglingAlias(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, nil, nil, "")
	g.dns.Remove("to.test.")
	g.dns.Add("to.test. 60 IN CNAME alias.test.", "alias.test. 60 IN MX 10 mx.to.test.")
	g.dns.Fail("to.test.", outboundtest.Fault{Dangling: true})
	if got := g.send(t, g.transport(t)); got != "clear" {
		t.Errorf("got %s, want the mail sent", got)
	}
	if got := g.dns.Queries("alias.test.", outboundtest.TypeMX); got != 1 {
		t.Errorf("the target was asked for %d times, want once", got)
	}
	g.dns.Remove("to.test.")
	g.dns.Remove("alias.test.")
	g.dns.Add("to.test. 60 IN CNAME alias.test.", "alias.test. 60 IN CNAME to.test.")
	g.dns.Fail("alias.test.", outboundtest.Fault{Dangling: true})
	if got := g.send(t, g.transport(t)); got != "4.4.3" {
		t.Errorf("in a circle: %s, want it deferred", got)
	}
}
