package integration_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// internet is a small one, on loopback: a name server and mail servers that share a port.
type internet struct {
	dns  *outboundtest.DNS
	port int
}

func newInternet(t *testing.T, records ...string) internet {
	t.Helper()
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return internet{dns: outboundtest.NewDNS(t, records...), port: port}
}

// peer starts a mail server on one of the addresses of loopback.
func (i internet) peer(t *testing.T, ip string) *outboundtest.Peer {
	t.Helper()
	return outboundtest.NewPeer(t, outboundtest.Script{Listen: net.JoinHostPort(ip, fmt.Sprint(i.port))})
}

// config is that of a relay which delivers by MX in this internet.
func (i internet) config() string { return i.relay("1s", "5s") }

// patient is the same for a relay that does not try again while a test lasts.
func (i internet) patient() string { return i.relay("2h", "4h") }

func (i internet) relay(first, most string) string {
	return fmt.Sprintf(`routes:
  - {name: internet, mx: true}
dns: {servers: [%q], allow_loopback: true}
delivery: {mx_port: %d}
retry: {first: %s, max: %s}
`, i.dns.Addr(), i.port, first, most)
}

func TestMX(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	net := newInternet(t,
		"dest.test. 300 IN MX 20 second.dest.test.",
		"dest.test. 300 IN MX 10 first.dest.test.",
		"first.dest.test. 300 IN A 127.0.0.2",
		"second.dest.test. 300 IN A 127.0.0.3",
		"bare.test. 300 IN A 127.0.0.4",
	)
	first, second, bare := net.peer(t, "127.0.0.2"), net.peer(t, "127.0.0.3"), net.peer(t, "127.0.0.4")
	relay := startRelay(t, ctx, net.config())
	const n = 20
	for i := range n {
		if err := send(relay.Addr(), "sender@origin.test", fmt.Sprintf("user%d@dest.test", i), fmt.Sprintf("user%d@bare.test", i)); err != nil {
			t.Fatal(err)
		}
	}
	first.WaitMessages(n)
	bare.WaitMessages(n) // no MX: the domain's own address (RFC 5321 section 5.1)
	if got := second.Count(); got != 0 {
		t.Errorf("%d messages went to the second choice while the first was up", got)
	}
	if got := net.dns.Queries("dest.test", outboundtest.TypeMX); got != 1 {
		t.Errorf("MX of dest.test was asked for %d times, want once for %d messages", got, n)
	}
	first.Close()
	for i := range n {
		if err := send(relay.Addr(), "sender@origin.test", fmt.Sprintf("user%d@dest.test", i)); err != nil {
			t.Fatal(err)
		}
	}
	second.WaitMessages(n)
}

func TestBounces(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		domain string
		status string // what the notice says about the recipient
	}{
		{"null MX", "null.test", "Status: 5.1.10"},
		{"no such domain", "nowhere.test", "Status: 5."},
		{"refused by the peer", "refuses.test", "Status: 5.1.1"},
		{"a host that greets with our name (C04)", "self.test", "Status: 5.4.6"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, time.Minute)
			net := newInternet(t,
				"null.test. 300 IN MX 0 .",
				"refuses.test. 300 IN A 127.0.0.2",
				"self.test. 300 IN A 127.0.0.5",
				"origin.test. 300 IN A 127.0.0.3",
				"dest.test. 300 IN A 127.0.0.4",
			)
			refusing, origin, dest := net.peer(t, "127.0.0.2"), net.peer(t, "127.0.0.3"), net.peer(t, "127.0.0.4")
			refusing.SetScript(outboundtest.Script{On: outboundtest.Answer(map[string]string{"RCPT": "550 5.1.1 no such user"})})
			net.peer(t, "127.0.0.5").SetScript(outboundtest.Script{Hostname: "relay.test"})
			relay := startRelay(t, ctx, net.config())
			if err := send(relay.Addr(), "sender@origin.test", "user@"+tt.domain, "user@dest.test"); err != nil {
				t.Fatal(err)
			}
			dest.WaitMessages(1)
			origin.WaitMessages(1)
			notice := origin.Messages()[0]
			if notice.From != "" || len(notice.To) != 1 || notice.To[0] != "sender@origin.test" {
				t.Errorf("notice from <%s> to %q, want from <> to the sender", notice.From, notice.To)
			}
			for _, want := range []string{"multipart/report", "Action: failed", "user@" + tt.domain, tt.status} {
				if !bytes.Contains(notice.Body, []byte(want)) {
					t.Errorf("the notice lacks %q:\n%s", want, notice.Body)
				}
			}
			if strings.Contains(string(notice.Body), "rfc822; user@dest.test") {
				t.Errorf("the notice blames the recipient that got the message:\n%s", notice.Body)
			}
			// A message after it on the same way shows that there was no second notice.
			if err := send(relay.Addr(), "other@example.test", "sender@origin.test"); err != nil {
				t.Fatal(err)
			}
			origin.WaitMessages(2)
			if got := origin.Messages()[1].From; got != "other@example.test" {
				t.Errorf("a second notice from <%s>", got)
			}
		})
	}
}
