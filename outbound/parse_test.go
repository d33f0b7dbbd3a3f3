package outbound

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"

	"postrider/relay"
)

func FuzzReadReply(f *testing.F) {
	for _, seed := range []string{
		"250 ok\r\n", "250\r\n", "250-a\r\n250 b\r\n", "550-5.1.1 a\r\n550 5.1.1 b\r\n", "250-a\r\n550 b\n", "250-", "2x0 a\r\n",
		"250 \xff\x00\x1b[0m\r\n", "", "\r\n", "250-a\r\n250-b\r\n", "421 4.3.2 bye\r\n", "550 5.1.1\r\n", "599 9999.1.1 x\r\n",
		strings.Repeat("250-x\r\n", maxReplyLines+1), "250 " + strings.Repeat("x", maxReplyLine) + "\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(input), maxReplyLine)
		a, err := readReply(r)
		if err != nil {
			if !errors.Is(err, errGarbage) && !errors.Is(err, io.EOF) {
				t.Errorf("error %v is neither garbage nor the end", err)
			}
			return
		}
		reply := a.reply()
		if reply.Code < 200 || reply.Code > 599 || len(a.lines) == 0 || len(a.lines) > maxReplyLines {
			t.Errorf("code %d of %d lines", reply.Code, len(a.lines))
		}
		if e := reply.Enhanced; e != (relay.EnhancedCode{}) && e[0] != reply.Code/100 {
			t.Errorf("enhanced code %s with %d", e, reply.Code)
		}
		if !utf8.ValidString(reply.Text) || strings.ContainsAny(reply.Text, "\r\n\x00\x1b") || len(reply.Text) > 3*maxReplyText {
			t.Errorf("text %q is not fit to show", reply.Text)
		}
		f := parseFeatures(a.lines)
		if f.size < 0 || f.maxRecipients < 0 || f.maxMessages < 0 {
			t.Errorf("features %+v", f)
		}
	})
}

func FuzzParseFeatures(f *testing.F) {
	for _, seed := range []string{"peer\nPIPELINING\nSIZE 10\n", "\n\n", "x\nAUTH=PLAIN LOGIN\nauth plain", "x\nSIZE -1", "x\nLIMITS RCPTMAX=99999999999999999999", "x\nLIMITS rcptmax=5 MAILMAX=", "x\nsize\n8bitmime\nStartTLS"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		got := parseFeatures(lines)
		if got.size < 0 || got.maxRecipients < 0 || got.maxMessages < 0 || got.size > 0 && !got.sized {
			t.Errorf("features %+v", got)
		}
		// Keywords mean the same in any case.
		if lower := parseFeatures(strings.Split(strings.ToLower(strings.ToUpper(text)), "\n")); isASCII(text) && lower.pipelining != got.pipelining {
			t.Errorf("%q depends on letter case", text)
		}
	})
}

func TestParseFeatures(t *testing.T) {
	t.Parallel()
	got := parseFeatures([]string{"peer SIZE PIPELINING", "Pipelining", "SIZE 1000", "AUTH PLAIN login", "AUTH=CRAM-MD5", "LIMITS RCPTMAX=5 MAILMAX=x", "DSN extra", "STARTTLS", "SMTPUTF8", "8BITMIME"})
	if !got.pipelining || got.size != 1000 || !got.sized || strings.Join(got.auth, " ") != "PLAIN LOGIN CRAM-MD5" ||
		got.maxRecipients != 5 || got.maxMessages != 0 || !got.dsn || !got.startTLS || !got.smtpUTF8 || !got.eightBit {
		t.Errorf("features = %+v", got)
	}
	if f := parseFeatures([]string{"PIPELINING"}); f.pipelining {
		t.Error("the peer's name was taken for an extension")
	}
	if f := parseFeatures(nil); f.pipelining || f.sized {
		t.Error("features of nothing")
	}
}

// unstuffed is the other end of dotWriter, by the letter of RFC 5321 section 4.5.2.
func unstuffed(t *testing.T, wire []byte) []byte {
	t.Helper()
	var message []byte
	for {
		i := bytes.Index(wire, []byte("\r\n"))
		if i < 0 {
			t.Fatalf("%q is left without an end", wire)
		}
		line := wire[:i+2]
		wire = wire[i+2:]
		if string(line) == ".\r\n" {
			if len(wire) > 0 {
				t.Fatalf("%q follows the end", wire)
			}
			return message
		}
		message = append(message, bytes.TrimPrefix(line, dot)...)
	}
}

func FuzzDotWriter(f *testing.F) {
	for _, seed := range []string{"", ".", "..", "a\r\n.b", "a\r", "\r\n", "\r\n.\r\n", "x\n.\n", "\r.\r\n..\r\n.", ".\r\n.\r\n.\r\n"} {
		for n := 1; n < 4; n++ {
			f.Add([]byte(seed), n)
		}
	}
	f.Fuzz(func(t *testing.T, message []byte, n int) {
		var wire bytes.Buffer
		d := &dotWriter{w: &wire}
		n = max(1, n%16)
		for rest := message; len(rest) > 0; rest = rest[min(n, len(rest)):] {
			if _, err := d.Write(rest[:min(n, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.end(); err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(message)
		if len(want) > 0 && !bytes.HasSuffix(want, []byte("\r\n")) {
			want = append(want, "\r\n"...)
		}
		if got := unstuffed(t, wire.Bytes()); !bytes.Equal(got, want) {
			t.Errorf("message %q in pieces of %d arrives as %q", message, n, got)
		}
		if d.n != int64(len(message)) {
			t.Errorf("counted %d bytes of %d", d.n, len(message))
		}
	})
}

func TestDotWriterError(t *testing.T) {
	t.Parallel()
	want := errors.New("broken")
	d := &dotWriter{w: failingWriter{want}}
	if _, err := io.Copy(d, iotest.OneByteReader(strings.NewReader("abc"))); !errors.Is(err, want) || !errors.Is(d.end(), want) {
		t.Errorf("got %v and %v, want %v", err, d.err, want)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func FuzzReadDNS(f *testing.F) {
	for _, rrs := range [][]string{
		{"a.test. 60 IN MX 10 mx.test."},
		{"a.test. 60 IN CNAME b.test.", "b.test. 60 IN MX 10 mx.test."},
		{"a.test. 60 IN CNAME a.test."},
		{"a.test. 60 IN A 192.0.2.1"}, {"a.test. 60 IN AAAA 2001:db8::1"}, {"b.test. 60 IN MX 10 mx.test."}, {"a.test. 60 IN MX 0 ."}, nil,
	} {
		m := new(dns.Msg).SetQuestion("a.test.", dns.TypeMX)
		m.Response = true
		for _, text := range rrs {
			rr, err := dns.NewRR(text)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed, uint16(dns.TypeMX))
		f.Add(packed, uint16(dns.TypeA))
	}
	now := time.Unix(1e9, 0)
	c := &dnsClient{now: func() time.Time { return now }}
	f.Fuzz(func(t *testing.T, packed []byte, qtype uint16) {
		m := new(dns.Msg)
		if m.Unpack(packed) != nil {
			return
		}
		a, err := c.read(question{"a.test", qtype}, m)
		if err != nil {
			return
		}
		if a.expires.Before(now) || a.expires.After(now.Add(positiveMax)) {
			t.Errorf("expires %s from now", a.expires.Sub(now))
		}
		if len(a.mxs)+len(a.addrs) > maxRecords {
			t.Errorf("%d records", len(a.mxs)+len(a.addrs))
		}
		if len(a.mxs) > 0 && qtype != dns.TypeMX || len(a.addrs) > 0 && qtype != dns.TypeA && qtype != dns.TypeAAAA {
			t.Errorf("records %v %v to a question for type %d", a.mxs, a.addrs, qtype)
		}
	})
}

// An answer is read only for what was asked, along aliases, and for as long as all of it holds.
func TestReadDNS(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	for _, tt := range []struct {
		name    string
		records []string
		hosts   string
		ttl     time.Duration
	}{
		{"plain", []string{"a.test. 60 IN MX 10 mx.test."}, "mx.test", time.Minute},
		{"least time to live", []string{"a.test. 60 IN MX 10 mx.test.", "A.TEST. 30 IN MX 20 mx2.test."}, "mx.test mx2.test", 30 * time.Second},
		{"alias", []string{"b.test. 60 IN MX 10 mx.test.", "a.test. 10 IN CNAME b.test."}, "mx.test", 10 * time.Second},
		{"alias of itself", []string{"a.test. 60 IN CNAME a.test."}, "", negativeDefault},
		{"of another", []string{"b.test. 60 IN MX 10 mx.test."}, "", negativeDefault},
		{"for ever", []string{"a.test. 2000000000 IN MX 10 mx.test."}, "mx.test", positiveMax},
		{"nothing", nil, "", negativeDefault},
		{"null", []string{"a.test. 60 IN MX 0 ."}, "", time.Minute},
	} {
		m := new(dns.Msg).SetQuestion("a.test.", dns.TypeMX)
		for _, text := range tt.records {
			rr, err := dns.NewRR(text)
			if err != nil {
				t.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		c := &dnsClient{now: func() time.Time { return now }}
		a, err := c.read(question{"a.test", dns.TypeMX}, m)
		if err != nil {
			t.Fatal(err)
		}
		var hosts []string
		for _, m := range a.mxs {
			hosts = append(hosts, m.host)
		}
		if got := strings.Join(hosts, " "); got != tt.hosts || a.expires.Sub(now) != tt.ttl {
			t.Errorf("%s: got %q for %s, want %q for %s", tt.name, got, a.expires.Sub(now), tt.hosts, tt.ttl)
		}
	}
}

// The AD bit counts only where the way to the server is trusted.
func TestSecure(t *testing.T) {
	t.Parallel()
	m := new(dns.Msg).SetQuestion("a.test.", dns.TypeMX)
	for _, tt := range []struct{ trusted, ad bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		m.AuthenticatedData = tt.ad
		c := &dnsClient{trusted: tt.trusted, now: time.Now}
		a, err := c.read(question{"a.test", dns.TypeMX}, m)
		if err != nil || a.secure != (tt.trusted && tt.ad) {
			t.Errorf("%+v: secure = %v, %v", tt, a.secure, err)
		}
	}
}

func TestParseHost(t *testing.T) {
	t.Parallel()
	literal := netip.MustParseAddr
	for _, tt := range []struct {
		text string
		want Host
	}{
		{"smtp.test", Host{Name: "smtp.test", Port: 25}},
		{"SMTP.test.:587", Host{Name: "smtp.test", Port: 587}},
		{"localhost", Host{Name: "localhost", Port: 25}},
		{"[smtp.test]:587", Host{Name: "smtp.test", Port: 587}},
		{"bücher.test", Host{Name: "xn--bcher-kva.test", Port: 25}},
		{"192.0.2.1", Host{Name: "192.0.2.1", Addr: literal("192.0.2.1"), Port: 25}},
		{"192.0.2.1:26", Host{Name: "192.0.2.1", Addr: literal("192.0.2.1"), Port: 26}},
		{"[192.0.2.1]:26", Host{Name: "192.0.2.1", Addr: literal("192.0.2.1"), Port: 26}},
		{"2001:db8::1", Host{Name: "2001:db8::1", Addr: literal("2001:db8::1"), Port: 25}},
		{"[2001:db8::1]:26", Host{Name: "2001:db8::1", Addr: literal("2001:db8::1"), Port: 26}},
		{"[IPv6:2001:db8::1]:26", Host{Name: "2001:db8::1", Addr: literal("2001:db8::1"), Port: 26}},
		{"[IPv6:2001:db8::1]", Host{Name: "2001:db8::1", Addr: literal("2001:db8::1"), Port: 25}},
	} {
		got, err := ParseHost(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("%q: got %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{"", ":25", "host:0", "host:65536", "host:x", "a b", "a..b", "[192.0.2.1", "host:25:25", "-\x00"} {
		if got, err := ParseHost(text); err == nil {
			t.Errorf("%q was taken for %+v", text, got)
		}
	}
}

func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{"smtp.test:587", "[192.0.2.1]:25", "[IPv6:2001:db8::1]:26", "2001:db8::1", "bücher.test", "[]", ":", "[::1%eth0]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHost(text)
		if err != nil {
			return
		}
		again, err := ParseHost(h.String())
		if err != nil || again != h {
			t.Errorf("%q gives %+v, whose text %q gives %+v, %v", text, h, h, again, err)
		}
	})
}

func TestXtext(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want, utf8 string }{
		{"a@b", "a@b", "a@b"},
		{"a+b=c d", "a+2Bb+3Dc+20d", `a\x{2B}b\x{3D}c\x{20}d`},
		{"x\r\nRCPT", "x+0D+0ARCPT", `x\x{0D}\x{0A}RCPT`},
		{"ö", "+C3+B6", `\x{F6}`},
	} {
		if got := xtext(tt.text); got != tt.want {
			t.Errorf("xtext(%q) = %q, want %q", tt.text, got, tt.want)
		}
		if got := utf8Xtext(tt.text); got != tt.utf8 {
			t.Errorf("utf8Xtext(%q) = %q, want %q", tt.text, got, tt.utf8)
		}
	}
}
