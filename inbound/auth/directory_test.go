package auth_test

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// directory is an LDAP server (RFC 4511) that knows simple binds, searches by one equality,
// and StartTLS. It keeps to the protocol as real ones do, empty passwords included.
type directory struct {
	t testing.TB
	net.Listener
	tls    *tls.Config
	caFile string
	// passwords are by DN, found has the DNs and mail addresses that a search for a value gives.
	passwords map[string]string
	found     map[string][]person
	// result, where it is not 0, is what every bind with a password is answered.
	result atomic.Int64
	// silent makes it answer nothing.
	silent atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
	// accepted counts connections, and log has what was asked.
	accepted int
	log      []string
}

type person struct {
	dn   string
	mail []string
}

const (
	serviceDN = "cn=relay,dc=example,dc=com"
	annDN     = "uid=ann,ou=people,dc=example,dc=com"
)

func newDirectory(t testing.TB) *directory {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewTLSServer(nil) // for its certificate, which is for 127.0.0.1
	service.Close()
	d := &directory{
		t: t, Listener: l, tls: service.TLS, caFile: filepath.Join(t.TempDir(), "ca.pem"),
		passwords: map[string]string{serviceDN: "service", annDN: "secret"},
		found:     map[string][]person{"ann": {{annDN, []string{"ann@example.com", "Ann.Smith@example.com", "SMTP:as@example.com", "x400:bad"}}}},
	}
	write(t, d.caFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw})))
	var wg sync.WaitGroup
	wg.Go(func() { d.serve(&wg) })
	t.Cleanup(func() { d.Close(); d.hangUp(); wg.Wait() })
	return d
}

func (d *directory) url() string { return "ldap://" + d.Addr().String() }

func (d *directory) serve(wg *sync.WaitGroup) {
	for {
		conn, err := d.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		d.conns = append(d.conns, conn)
		d.accepted++
		d.mu.Unlock()
		wg.Go(func() { d.session(conn) })
	}
}

// hangUp closes all connections.
func (d *directory) hangUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		c.Close()
	}
	d.conns = nil
}

func (d *directory) note(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, text)
}

func (d *directory) session(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		request, err := ber.ReadPacket(r)
		if err != nil || len(request.Children) < 2 {
			return
		}
		if d.silent.Load() {
			continue
		}
		id, op := request.Children[0].Value.(int64), request.Children[1]
		for _, answer := range d.answer(op) {
			conn.Write(message(id, answer).Bytes())
		}
		if op.Tag == 23 { // StartTLS
			conn = tls.Server(conn, d.tls)
			r = bufio.NewReader(conn)
		}
	}
}

func (d *directory) answer(op *ber.Packet) []*ber.Packet {
	switch op.Tag {
	case 0:
		return []*ber.Packet{result(1, d.bind(op.Children[1].Value.(string), op.Children[2].Data.String()))}
	case 3:
		value := op.Children[6].Children[1].Data.String()
		d.note("search " + op.Children[0].Value.(string) + " for " + value)
		var answers []*ber.Packet
		for _, p := range d.found[value] {
			answers = append(answers, entry(p))
		}
		return append(answers, result(5, 0))
	case 23:
		d.note("StartTLS")
		return []*ber.Packet{result(24, 0)}
	}
	return nil
}

// bind takes an empty password for no wish to authenticate (RFC 4513 section 5.1.2).
func (d *directory) bind(dn, password string) int64 {
	d.note("bind " + dn)
	if code := d.result.Load(); code != 0 && password != "" {
		return code
	}
	if password == "" || d.passwords[strings.ToLower(dn)] == password {
		return 0
	}
	return 49
}

func message(id int64, op *ber.Packet) *ber.Packet {
	m := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	m.AppendChild(op)
	return m
}

func result(tag ber.Tag, code int64) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	p.AppendChild(text(""))
	p.AppendChild(text(""))
	return p
}

func entry(p person) *ber.Packet {
	mail := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, address := range p.mail {
		mail.AppendChild(text(address))
	}
	attribute := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	attribute.AppendChild(text("mail"))
	attribute.AppendChild(mail)
	attributes := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	attributes.AppendChild(attribute)
	e := ber.Encode(ber.ClassApplication, ber.TypeConstructed, 4, nil, "")
	e.AppendChild(text(p.dn))
	e.AppendChild(attributes)
	return e
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}
