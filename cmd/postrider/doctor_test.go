package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/configs"
	"postrider/inbound"
	"postrider/outbound/outboundtest"
	"postrider/relay/admin"
)

// findings are what a doctor says, one "check status text" each.
type findings []string

// newPatient is a doctor for an empty configuration, who notes what he finds.
func newPatient(t *testing.T) (*doctor, *findings) {
	t.Helper()
	all := new(findings)
	d := &doctor{config: &configs.Config{Hostname: "relay.test", Data: t.TempDir()}, now: time.Now}
	d.out = func(f finding) {
		*all = append(*all, f.Check+" "+f.Status+" "+f.Found)
		if (f.Status == findingOK) != (f.Advice == "") {
			t.Errorf("%+v: advice is for what is not ok", f)
		}
	}
	return d, all
}

// want wants exactly these findings, each of which begins so.
func (f findings) want(t *testing.T, begins ...string) {
	t.Helper()
	if len(f) != len(begins) {
		t.Fatalf("got %q, want %q", f, begins)
	}
	for i, text := range begins {
		if !strings.HasPrefix(f[i], text) {
			t.Errorf("got %q, want %q", f[i], text)
		}
	}
}

func TestDoctorName(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		records []string
		want    string
	}{
		"well":          {[]string{"relay.test. IN A 203.0.113.7", "7.113.0.203.in-addr.arpa. IN PTR relay.test."}, "name ok relay.test is 203.0.113.7"},
		"another name":  {[]string{"relay.test. IN A 203.0.113.7", "7.113.0.203.in-addr.arpa. IN PTR host7.isp.test."}, "name warn relay.test is 203.0.113.7, and that is host7.isp.test"},
		"no name back":  {[]string{"relay.test. IN A 203.0.113.7"}, "name warn relay.test is 203.0.113.7, which has no name"},
		"not public":    {[]string{"relay.test. IN A 10.0.0.7"}, "name warn relay.test is 10.0.0.7, which is not public"},
		"not published": {nil, "name warn relay.test cannot be looked up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, all := newPatient(t)
			d.config.Outbound.DNS.Servers = []string{outboundtest.NewDNS(t, tt.records...).Addr()}
			d.examineName(t.Context())
			all.want(t, tt.want)
		})
	}
}

func TestDoctorDNS(t *testing.T) {
	t.Parallel()
	d, all := newPatient(t)
	d.config.Outbound.DNS.Servers = []string{outboundtest.NewDNS(t, "org. IN NS a.org.").Addr(), outboundtest.NewDNS(t).Addr()}
	d.examineDNS(t.Context())
	all.want(t, "dns ok "+d.config.Outbound.DNS.Servers[0], "dns fail "+d.config.Outbound.DNS.Servers[1])
}

func TestDoctorClock(t *testing.T) {
	t.Parallel()
	d, all := newPatient(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d.now = func() time.Time { return now }
	d.examineClock(time.Time{})
	d.examineClock(now.Add(-time.Hour))
	d.examineClock(now.Add(time.Hour))
	all.want(t, "clock ok 2026-03-01T12:00:00Z", "clock ok", "clock fail it is 2026-03-01T12:00:00Z here, and this program is of 2026-03-01T13:00:00Z")
}

func TestDoctorDisk(t *testing.T) {
	t.Parallel()
	d, all := newPatient(t)
	d.config.Spool.MinFree = 1
	d.examineDisk()
	if len(*all) != 2 || !strings.HasPrefix((*all)[0], "disk ok") || !strings.HasPrefix((*all)[1], "sync ") || strings.Contains((*all)[1], "cannot be timed") {
		t.Errorf("got %q", *all)
	}
	left, err := os.ReadDir(d.config.Data)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	for least, want := range map[int64]string{1 << 60: "disk fail", 0: "disk ok"} {
		*all = nil
		d.config.Spool.MinFree = least
		if d.examineDisk(); !strings.HasPrefix((*all)[0], want) {
			t.Errorf("with %d to be free: %q, want %q", least, (*all)[0], want)
		}
	}
	*all = nil
	d.config.Data = filepath.Join(d.config.Data, "new")
	d.examineDisk()
	d.judgeSyncs(time.Millisecond, 5*time.Millisecond, nil)
	d.judgeSyncs(time.Second, 2*time.Second, nil)
	d.judgeSyncs(0, 0, errors.New("no"))
	all.want(t, "disk warn "+d.config.Data+" does not exist", "sync ok takes 1ms, 5ms at worst", "sync warn takes 1s", "sync warn cannot be timed")
}

// talker is a server that says a line to each client, and answers all commands with another.
func talker(t *testing.T, greeting, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				fmt.Fprintf(conn, "%s\r\n", greeting)
				for s := bufio.NewScanner(conn); s.Scan(); {
					text := answer
					if verb := strings.ToUpper(s.Text()); !strings.HasPrefix(verb, "RCPT") {
						text = "250 ok"
					}
					fmt.Fprintf(conn, "%s\r\n", text)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestDoctorPorts(t *testing.T) {
	t.Parallel()
	d, all := newPatient(t)
	well, busy := talker(t, "220 relay.test", ""), talker(t, "421 too many", "")
	listen := func(name, address string) inbound.Listener { return inbound.Listener{Name: name, Address: address} }
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := dead.Addr().String()
	dead.Close()
	secret := listen("tls", well)
	secret.TLS.Mode = inbound.TLSImplicit
	d.config.Inbound.Listeners = []inbound.Listener{
		listen("well", well), listen("busy", busy), listen("dead", free), secret, listen("any", "127.0.0.1:0"), listen("unix", "unix:"+filepath.Join(d.config.Data, "no.sock")),
	}
	d.running = true
	d.examinePorts(t.Context())
	all.want(t, "port ok well greets", "port warn busy at "+busy+" greets with 421 too many", "port fail dead does not answer", "port ok tls is open", "port fail unix does not answer")
	*all = nil
	d.running = false
	d.config.Inbound.Listeners = []inbound.Listener{listen("taken", well), listen("free", free), listen("elsewhere", "192.0.2.1:2525")}
	d.examinePorts(t.Context())
	all.want(t, "port fail taken: "+well+" is taken", "port ok free: "+free+" is free", "port fail elsewhere: ")
}

// Strangers are found in the configuration, and by trying.
func TestDoctorOpenRelay(t *testing.T) {
	t.Parallel()
	own := netip.MustParseAddr("127.0.0.1")
	for answer, want := range map[string]string{
		"250 2.1.5 ok":                  "open relay fail l relays for 127.0.0.1",
		"554 5.7.1 Relay access denied": "open relay ok l refuses 127.0.0.1: 554",
		"451 4.3.0 Try again":           "open relay warn l has not refused 127.0.0.1 for good",
	} {
		d, all := newPatient(t)
		d.tryRelay(t.Context(), inbound.Listener{Name: "l", Address: talker(t, "220 relay.test", answer)}, own)
		all.want(t, want)
	}
	d, all := newPatient(t)
	d.config.Inbound.Listeners = []inbound.Listener{{Name: "l", Address: "127.0.0.1:1"}}
	d.config.Policy.Relay = map[string][]netip.Prefix{"l": {netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::/0")}}
	d.examineOpenness(t.Context())
	all.want(t, "open relay fail l lets 0.0.0.0/0 relay", "open relay fail l lets ::/0 relay")
	*all = nil
	d.running = true
	d.examineOpenness(t.Context()) // all addresses of this host may relay
	all.want(t, "open relay fail", "open relay fail", "open relay ok l: no address of this host is a stranger's")
}

// One record of a kind is right, none and two are not.
func TestDoctorRecords(t *testing.T) {
	t.Parallel()
	d, all := newPatient(t)
	d.config.Outbound.DNS.Servers = []string{outboundtest.NewDNS(t,
		`one.test. IN TXT "v=spf1 -all"`, `one.test. IN TXT "something else"`, `two.test. IN TXT "v=spf1 -all"`, `two.test. IN TXT "V=SPF1 +all"`, `odd.test. IN TXT "v=spf10 x"`,
	).Addr()}
	for _, name := range []string{"one.test", "two.test", "odd.test", "none.test"} {
		d.examineRecord(t.Context(), "spf", name, "v=spf1", "publish one")
	}
	all.want(t, "spf ok one.test: v=spf1 -all", "spf fail two.test has 2 records", "spf warn odd.test has no record", "spf warn none.test has no record")
}

func TestDoctorMessage(t *testing.T) {
	t.Parallel()
	at := time.Now()
	for name, tt := range map[string]struct {
		life admin.Life
		done bool
		want []string
	}{
		"delivered": {admin.Life{Received: at, Events: []admin.LifeEvent{{Event: "deferred"}, {Event: "delivered", Host: "mx.test", At: at.Add(2 * time.Second), Code: 250, Reply: "ok"}}}, true, []string{"message ok mx.test has taken it after 2s: 250 ok"}},
		"bounced":   {admin.Life{Events: []admin.LifeEvent{{Event: "bounced", Code: 550, Reply: "unknown"}}}, true, []string{"message fail bounced: 550 unknown"}},
		"waiting":   {admin.Life{Queued: true, Events: []admin.LifeEvent{{Event: "deferred"}}}, false, nil},
		"new":       {admin.Life{}, false, nil},
	} {
		d, all := newPatient(t)
		if done := d.ended(tt.life); done != tt.done {
			t.Errorf("%s: ended %v, want %v", name, done, tt.done)
		}
		all.want(t, tt.want...)
	}
	d, all := newPatient(t)
	d.sendTest(context.Background(), "ann@example.com", time.Second)
	all.want(t, "message fail there is no way to send one")
}

// writeCertificate makes a certificate of its own authority for a name, good for a time.
func writeCertificate(t *testing.T, dir, name string, from, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, fmt.Sprint(name, from.Unix(), until.Unix()))
	for suffix, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file+suffix, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file + ".crt", file + ".key"
}

func TestDoctorCertificates(t *testing.T) {
	t.Parallel()
	d, all := newPatient(t)
	now := time.Now()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name        string
		from, until time.Duration
		want, says  string
	}{
		{"relay.test", -day, 90 * day, "certificate warn l: ", "unknown authority"},
		{"relay.test", -2 * day, -day, "certificate fail l: ", "has expired"},
		{"relay.test", day, 90 * day, "certificate fail l: ", "only good from"},
		{"relay.test", -day, 3 * day, "certificate warn l: ", "expires on"},
		{"other.test", -day, 90 * day, "certificate warn l: ", "not for relay.test"},
	} {
		cert, key := writeCertificate(t, d.config.Data, tt.name, now.Add(tt.from), now.Add(tt.until))
		*all = nil
		d.examineCertificate("l", cert, key)
		all.want(t, tt.want)
		if !strings.Contains((*all)[0], tt.says) {
			t.Errorf("got %q, want %q", *all, tt.says)
		}
	}
	*all = nil
	d.examineCertificate("l", filepath.Join(d.config.Data, "none"), "none")
	all.want(t, "certificate fail l: ")
}
