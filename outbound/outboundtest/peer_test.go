package outboundtest_test

import (
	"net"
	"net/smtp"
	"testing"

	"github.com/miekg/dns"

	"postrider/outbound/outboundtest"
)

// A client that is not ours gets mail through, and the peer has it byte for byte.
func TestPeer(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, outboundtest.Script{
		On: outboundtest.Answer(map[string]string{"RCPT TO:<no@": "550 5.1.1 no such user"}),
	})
	c, err := smtp.Dial(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("a@example.test"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("no@example.test"); err == nil {
		t.Error("scripted refusal was not given")
	}
	if err := c.Rcpt("b@example.test"); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	const body = "Subject: x\r\n\r\n.dot\r\n..\r\n.\r\n"
	w.Write([]byte(body))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c.Quit()
	p.WaitMessages(1)
	m := p.Messages()[0]
	if string(m.Body) != body {
		t.Errorf("body = %q, want %q", m.Body, body)
	}
	if len(m.To) != 1 || m.To[0] != "b@example.test" || m.From != "a@example.test" {
		t.Errorf("envelope = %q to %q", m.From, m.To)
	}
	p.Wait("the end", func() bool { return p.Sessions()[0].Closed })
	if s := p.Sessions()[0]; !s.Quit || s.Early || s.Messages != 1 {
		t.Errorf("session = %+v", s)
	}
}

func TestPeerAuthAndTLS(t *testing.T) {
	t.Parallel()
	config, roots := outboundtest.NewCertificate(t, "mx.test")
	p := outboundtest.NewPeer(t, outboundtest.Script{TLS: config, Users: map[string]string{"u": "p"}})
	for _, tt := range []struct {
		password string
		ok       bool
	}{{"p", true}, {"wrong", false}} {
		c, err := smtp.Dial(p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		client := config.Clone()
		client.RootCAs, client.ServerName = roots, "mx.test"
		if err := c.StartTLS(client); err != nil {
			t.Fatal(err)
		}
		host, _, _ := net.SplitHostPort(p.Addr())
		if err := c.Auth(smtp.PlainAuth("", "u", tt.password, host)); (err == nil) != tt.ok {
			t.Errorf("password %q: %v", tt.password, err)
		}
		c.Close()
	}
	if s := p.Sessions()[0]; !s.TLS || s.ServerName != "mx.test" {
		t.Errorf("session = %+v", s)
	}
}

func TestDNS(t *testing.T) {
	t.Parallel()
	d := outboundtest.NewDNS(t, "a.test. 60 IN MX 10 mx.a.test.", "mx.a.test. 60 IN A 127.0.0.1", "alias.test. 60 IN CNAME mx.a.test.")
	d.Fail("broken.test", outboundtest.Fault{Rcode: dns.RcodeServerFailure})
	d.Fail("long.test", outboundtest.Fault{Truncate: true})
	d.Add("long.test. 60 IN A 127.0.0.1")
	for _, tt := range []struct {
		name      string
		qtype     uint16
		net       string
		rcode     int
		answers   int
		truncated bool
	}{
		{"a.test.", dns.TypeMX, "udp", dns.RcodeSuccess, 1, false},
		{"A.test.", dns.TypeMX, "tcp", dns.RcodeSuccess, 1, false},
		{"a.test.", dns.TypeA, "udp", dns.RcodeSuccess, 0, false},
		{"alias.test.", dns.TypeA, "udp", dns.RcodeSuccess, 2, false},
		{"none.test.", dns.TypeA, "udp", dns.RcodeNameError, 0, false},
		{"broken.test.", dns.TypeA, "udp", dns.RcodeServerFailure, 0, false},
		{"long.test.", dns.TypeA, "udp", dns.RcodeSuccess, 0, true},
		{"long.test.", dns.TypeA, "tcp", dns.RcodeSuccess, 1, false},
	} {
		q := new(dns.Msg).SetQuestion(tt.name, tt.qtype)
		r, _, err := (&dns.Client{Net: tt.net}).Exchange(q, d.Addr())
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if r.Rcode != tt.rcode || len(r.Answer) != tt.answers || r.Truncated != tt.truncated {
			t.Errorf("%s %s: got %v", tt.name, tt.net, r)
		}
	}
	if n := d.Queries("a.test", dns.TypeMX); n != 2 {
		t.Errorf("queries = %d, want 2", n)
	}
}
