package inbound_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
)

// FuzzProxy begins a session with anything in the place of a PROXY header. It ends without a word,
// or it is that of the client whom the header names.
func FuzzProxy(f *testing.F) {
	for _, header := range []string{
		"PROXY TCP4 192.0.2.9 127.0.0.1 1000 25\r\n", "PROXY TCP6 2001:db8::9 ::1 1000 25\r\n", "PROXY TCP6 ::ffff:192.0.2.9 ::1 1000 25\r\n", "PROXY UNKNOWN\r\n",
		"PROXY UNKNOWN 192.0.2.9 127.0.0.1 1 2\r\n", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "PROXY TCP4 192.0.2.9 127.0.0.1 1000 25\r\nEHLO early\r\n", "PROXY ", "\r\n\r\n\x00\r\nQUIT\n", "EHLO x\r\n", "",
		header2(f, proxyproto.PROXY, "192.0.2.8:1000"), header2(f, proxyproto.PROXY, "[2001:db8::8]:1000"), header2(f, proxyproto.LOCAL, ""), header2(f, proxyproto.LOCAL, "192.0.2.8:1000"),
	} {
		f.Add([]byte(header))
	}
	o := &opened{house: newHouse(f), at: newPipes()}
	o.options.Listeners[0].ProxyProtocol = loopback
	o.options.Limits.Errors = 1000
	o.openAt(o.at).serve(f)
	f.Fuzz(func(t *testing.T, header []byte) {
		const mail = "HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@ours.example>\r\nBDAT 0 LAST\r\nQUIT\r\n"
		said := o.converse(t, slices.Values(append([]string{string(header)}, strings.SplitAfter(mail, "\n")...)))
		messages := o.judgeReplies(t, said)
		want, rest, ok := proxiedClient(string(header) + mail)
		if said != "" && (!ok || rest == mail && len(messages) != 1) {
			t.Fatalf("%q: said was\n%s", header, said)
		}
		for _, m := range messages {
			if m.Origin.Client != want {
				t.Errorf("%q: the client is %s, want %s", header, m.Origin.Client, want)
			}
		}
	})
}

// proxiedClient is whom a header names as its specification has it, the balancer for its own
// connections, and what follows the header. It does not look at more than it needs.
func proxiedClient(text string) (client netip.Addr, rest string, ok bool) {
	if rest, ok := strings.CutPrefix(text, "\r\n\r\n\x00\r\nQUIT\n"); ok {
		return proxiedBinary(rest)
	}
	line, rest, ended := strings.Cut(text, "\r\n")
	fields := strings.Split(line, " ")
	switch {
	case !ended || len(fields) < 2 || fields[0] != "PROXY":
		return client, "", false
	case fields[1] == "UNKNOWN":
		return balancer, rest, true
	case len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6":
		return client, "", false
	}
	client, err := netip.ParseAddr(fields[2])
	return client.Unmap().WithZone(""), rest, err == nil
}

var balancer = netip.MustParseAddr("127.0.0.1")

// proxiedBinary is proxiedClient for what follows the signature of version 2.
func proxiedBinary(text string) (client netip.Addr, rest string, ok bool) {
	if len(text) < 4 || len(text)-4 < int(binary.BigEndian.Uint16([]byte(text[2:4]))) {
		return client, "", false
	}
	length := int(binary.BigEndian.Uint16([]byte(text[2:4])))
	addresses, rest := text[4:4+length], text[4+length:]
	switch family := text[1]; {
	case text[0] == 0x20:
		return balancer, rest, true
	case text[0] == 0x21 && family == 0x11 && length >= 12:
		return netip.AddrFrom4([4]byte([]byte(addresses[:4]))), rest, true
	case text[0] == 0x21 && family == 0x21 && length >= 36:
		return netip.AddrFrom16([16]byte([]byte(addresses[:16]))).Unmap(), rest, true
	}
	return client, "", false
}
