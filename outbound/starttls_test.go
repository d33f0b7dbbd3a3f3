package outbound_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

func tlsRows() []row {
	return []row{{"TLS", tlsTable}, {"S05", freshAfterTLS}, {"TLS/credentials", credentialsNeedTLS}}
}

// The table of TLS levels: what each makes of each trouble. A reply of "" is success.
func tlsTable(t *testing.T) {
	config, roots := outboundtest.NewCertificate(t, "127.0.0.1")
	other, _ := outboundtest.NewCertificate(t, "other.test")
	broken := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, tls.AlertError(40) }}
	const no = ""
	for _, tt := range []struct {
		name   string
		script outboundtest.Script
		// by level: may, encrypt, verify.
		want      [3]string
		encrypted bool
		sessions  int // at level may
	}{
		{"good", outboundtest.Script{TLS: config}, [3]string{no, no, no}, true, 1},
		{"not offered", outboundtest.Script{}, [3]string{no, "4.7.4", "4.7.4"}, false, 1},
		{"refused", outboundtest.Script{TLS: config, On: outboundtest.Answer(map[string]string{"STARTTLS": "454 4.7.0 not now"})}, [3]string{no, "4.7.4", "4.7.4"}, false, 1},
		{"handshake fails", outboundtest.Script{TLS: broken}, [3]string{no, "4.7.5", "4.7.5"}, false, 2},
		{"certificate of another", outboundtest.Script{TLS: other}, [3]string{no, no, "4.7.5"}, true, 1},
	} {
		for i, level := range []outbound.TLSLevel{outbound.TLSMay, outbound.TLSEncrypt, outbound.TLSVerify} {
			t.Run(tt.name+"/"+level.String(), func(t *testing.T) {
				t.Parallel()
				p := outboundtest.NewPeer(t, tt.script)
				tr := smart(t, func(o *outbound.Options) { o.Routes[0].TLS, o.RootCAs = level, roots }, p)
				if tt.want[i] != no {
					r := dialFault(t, tr)
					if r.Enhanced.String() != tt.want[i] || !r.Temporary() {
						t.Errorf("reply = %s, want a temporary %s", r, tt.want[i])
					}
					return
				}
				a := deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test"))
				wantCodes(t, a, "250")
				if strings.HasPrefix(a.TLS, "TLSv1.3, ") != tt.encrypted {
					t.Errorf("TLS = %q", a.TLS)
				}
				if level == outbound.TLSMay && len(p.Sessions()) != tt.sessions {
					t.Errorf("%d sessions, want %d", len(p.Sessions()), tt.sessions)
				}
				dial(t, tr)
				if level == outbound.TLSMay && len(p.Sessions()) != tt.sessions+1 {
					t.Errorf("%d sessions after another dial: the trouble is not remembered", len(p.Sessions()))
				}
			})
		}
	}
}

// What was said before TLS does not count inside it, bytes or features (RFC 3207 section 4.2).
func freshAfterTLS(t *testing.T) {
	config, _ := outboundtest.NewCertificate(t, "127.0.0.1")
	p := outboundtest.NewPeer(t, outboundtest.Script{TLS: config, On: func(e outboundtest.Event) outboundtest.Action {
		switch {
		case e.Phase == outboundtest.STARTTLS:
			return outboundtest.Action{Reply: "220 go\r\n250-injected\r\n250 SIZE 1\r\n"}
		case e.Phase == outboundtest.EHLO && e.N == 1:
			return outboundtest.Action{Reply: "250-peer\r\n250-STARTTLS\r\n250 SIZE 1\r\n"}
		}
		return outboundtest.Action{}
	}})
	tr := smart(t, func(o *outbound.Options) { o.Routes[0].TLS = outbound.TLSEncrypt }, p)
	wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test")), "250")
}

// Credentials go only over verified TLS, unless the route says so or the host is this one.
func credentialsNeedTLS(t *testing.T) {
	config, roots := outboundtest.NewCertificate(t, "smtp.test")
	_, otherRoots := outboundtest.NewCertificate(t, "smtp.test")
	script := outboundtest.Script{TLS: config, Users: map[string]string{"u": "p"}}
	for _, tt := range []struct {
		name string
		edit func(*outbound.Options)
		ok   bool
	}{
		{"verified", func(o *outbound.Options) { o.RootCAs = roots }, true},
		{"not verified", func(o *outbound.Options) { o.RootCAs = otherRoots }, false},
		{"in clear", func(o *outbound.Options) { o.Routes[0].TLS = outbound.TLSNone }, false},
		{"the route says so", func(o *outbound.Options) { o.Routes[0].TLS, o.Routes[0].PlainAuth = outbound.TLSNone, true }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, script)
			tr := smart(t, func(o *outbound.Options) {
				toElsewhere(o, p)
				o.Routes[0].TLS = outbound.TLSMay
				o.Routes[0].Auth = &outbound.Credentials{User: "u", Password: "p"}
				tt.edit(o)
			})
			if tt.ok {
				dial(t, tr)
				return
			}
			if r := dialFault(t, tr); r.Enhanced != (relay.EnhancedCode{4, 7, 8}) {
				t.Errorf("reply = %s, want 4.7.8", r)
			}
			if got := verbs(p.Sessions()[0]); strings.Contains(got, "AUTH") {
				t.Errorf("commands = %q", got)
			}
		})
	}
}

// Port 465 speaks TLS before anything else, at every level but none.
func TestImplicitTLS(t *testing.T) {
	t.Parallel()
	config, roots := outboundtest.NewCertificate(t, "smtp.test")
	_, otherRoots := outboundtest.NewCertificate(t, "smtp.test")
	for _, tt := range []struct {
		name  string
		roots *x509.CertPool
		want  string
	}{{"good", roots, ""}, {"certificate of another", otherRoots, "4.7.5"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, outboundtest.Script{TLS: config, ImplicitTLS: true})
			tr := smart(t, func(o *outbound.Options) {
				toElsewhere(o, p)
				o.Routes[0].Hosts = []string{"smtp.test:465"}
				o.Routes[0].TLS, o.RootCAs = outbound.TLSVerify, tt.roots
			})
			if tt.want != "" {
				if r := dialFault(t, tr); r.Enhanced.String() != tt.want {
					t.Errorf("reply = %s, want %s", r, tt.want)
				}
				return
			}
			a := deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test"))
			if wantCodes(t, a, "250"); a.TLS == "" || !p.Sessions()[0].TLS {
				t.Errorf("TLS = %q, session %+v", a.TLS, p.Sessions()[0])
			}
		})
	}
}
