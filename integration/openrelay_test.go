package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// strangersConfig has a listener of every kind, each for strangers to knock at. All of them come
// over a balancer on this host, which says who they are; on the last one only some may say so.
const strangersConfig = `hostname: relay.test
data: %[1]q
listen:
  - {name: local, address: "127.0.0.1:0", allow: ["10.0.0.0/8"], proxy_protocol: ["127.0.0.0/8"]}
  - {name: filter, address: "127.0.0.1:0", allow: ["10.0.0.0/8"], proxy_protocol: ["127.0.0.0/8"], xclient: ["192.168.0.0/16"]}
  - {name: users, address: "127.0.0.1:0", allow: ["10.0.0.0/8"], proxy_protocol: ["127.0.0.0/8"], auth: optional, tls: {cert: cert.pem, key: key.pem, client_ca: cert.pem}}
  - {name: submission, address: "127.0.0.1:0", proxy_protocol: ["127.0.0.0/8"], submission: true, auth: required, tls: {cert: cert.pem, key: key.pem}}
  - {name: old, address: "127.0.0.1:0", allow: ["10.0.0.0/8"], proxy_protocol: ["127.0.0.0/8"], profile: legacy}
users: {file: users}
routes:
  - {name: next, hosts: [%[2]q]}
admin: {socket: %[3]q}
`

// strangers are what who may not relay tries, from MAIL on unless it begins with another command. Each
// line is sent when the one before has been answered.
var strangers = map[string][]string{
	"plain":              {"MAIL FROM:<a@evil.example>", "RCPT TO:<b@example.net>"},
	"in our name":        {"MAIL FROM:<postmaster@relay.test>", "RCPT TO:<b@example.net>"},
	"in nobody's name":   {"MAIL FROM:<>", "RCPT TO:<b@example.net>"},
	"in a user's name":   {"MAIL FROM:<ann@relay.test> AUTH=ann", "RCPT TO:<b@example.net>"},
	"to us":              {"MAIL FROM:<a@evil.example>", "RCPT TO:<postmaster>", "RCPT TO:<root@relay.test>", "RCPT TO:<root@[127.0.0.1]>", "RCPT TO:<root@localhost>"},
	"by way of us":       {"MAIL FROM:<a@evil.example>", "RCPT TO:<@relay.test:b@example.net>", "RCPT TO:<b%example.net@relay.test>", "RCPT TO:<example.net!b@relay.test>", `RCPT TO:<"b@example.net"@relay.test>`, `RCPT TO:<"b@example.net">`, "RCPT TO:<b%example.net>", "RCPT TO:<b@example.net@[127.0.0.1]>"},
	"as a host of ours":  {"EHLO localhost", "MAIL FROM:<a@evil.example>", "RCPT TO:<b@example.net>", "EHLO [127.0.0.1]", "MAIL FROM:<a@evil.example>", "RCPT TO:<b@example.net>", "HELO relay.test", "MAIL FROM:<a@evil.example>", "RCPT TO:<b@example.net>"},
	"as another client":  {"XCLIENT ADDR=127.0.0.1", "XCLIENT LOGIN=ann", "EHLO x", "MAIL FROM:<a@evil.example>", "RCPT TO:<b@example.net>"},
	"by another header":  {"PROXY TCP4 127.0.0.1 127.0.0.1 1000 25", "MAIL FROM:<a@evil.example>", "RCPT TO:<b@example.net>"},
	"without a password": {"AUTH PLAIN =", "AUTH PLAIN", "*", "AUTH EXTERNAL =", "AUTH LOGIN", "YW5u", "*", "EHLO x", "MAIL FROM:<a@evil.example>", "RCPT TO:<b@example.net>"},
	"another time":       {"MAIL FROM:<a@evil.example>", "RCPT TO:<b@example.net>", "RSET", "MAIL FROM:<a@evil.example>", "RCPT TO:<b@example.net>", "DATA", "BDAT 0 LAST", "BDAT 0", "RCPT TO:<b@example.net>"},
	"in one group":       {"RSET\r\nMAIL FROM:<a@evil.example>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\nBDAT 2 LAST\r\n\r\nNOOP"},
	"behind STARTTLS":    {"STARTTLS\r\nMAIL FROM:<a@evil.example>\r\nRCPT TO:<b@example.net>"},
}

// TestStrangers knocks at every kind of listener: nobody who is neither allowed nor known gets a
// recipient taken (conformance I22).
func TestStrangers(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := newRelay(t, "")
	dir := filepath.Dir(relay.Config)
	writeHousehold(t, dir)
	write(t, relay.Config, fmt.Sprintf(strangersConfig, filepath.Join(dir, "data"), sink.Addr(), filepath.Join(dir, "admin.sock")))
	start(t, ctx, relay)
	var all sync.WaitGroup
	for _, listener := range []string{"local", "filter", "users", "submission", "old"} {
		for _, from := range []string{"TCP4 203.0.113.7 127.0.0.1", "TCP4 172.17.0.1 127.0.0.1", "TCP6 2001:db8::7 ::1"} {
			for name, lines := range strangers {
				all.Go(func() {
					s, err := knock(ctx, relay.AddrOf(listener), from)
					if err != nil {
						t.Errorf("%s at %s: %v", from, listener, err)
						return
					}
					defer s.Close()
					for _, line := range lines {
						s.try(line)
					}
					if s.taken > 0 {
						t.Errorf("%s at %s from %s: a recipient was taken:\n%s", name, listener, from, s.said.String())
					}
				})
			}
		}
	}
	all.Wait()
	neighbour, err := knock(ctx, relay.AddrOf("local"), "TCP4 10.1.2.3 127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer neighbour.Close()
	neighbour.try("MAIL FROM:<a@example.com>")
	neighbour.try("RCPT TO:<b@example.net>")
	if neighbour.taken != 1 {
		t.Errorf("a client that is allowed may not relay:\n%s", neighbour.said.String())
	}
}

// stranger is a client's session, and what was said in it.
type stranger struct {
	*guest
	said strings.Builder
	// taken counts recipients that were accepted, and messages.
	taken int
	gone  bool
}

func knock(ctx context.Context, addr, from string) (*stranger, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	s := &stranger{guest: newGuest(conn)}
	fmt.Fprintf(conn, "PROXY %s 1000 25\r\n", from)
	if err := s.await("220"); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s.try("EHLO stranger.example")
	return s, nil
}

// try sends what may be several commands, and reads as many replies as it has lines, or to the end.
func (s *stranger) try(lines string) {
	if s.gone {
		return
	}
	fmt.Fprintf(s, "%s\r\n", lines)
	for line := range strings.SplitSeq(lines, "\r\n") {
		if line == "" || s.gone { // the content of a chunk
			continue
		}
		reply := s.reply()
		fmt.Fprintf(&s.said, "%q: %q\n", line, reply)
		if strings.HasPrefix(reply, "250 2.1.5") || strings.Contains(reply, "queued") || strings.HasPrefix(reply, "354") {
			s.taken++
		}
		s.gone = s.gone || strings.HasPrefix(reply, "221") || strings.HasPrefix(line, "STARTTLS") && strings.HasPrefix(reply, "220")
	}
}

// reply reads a reply and gives its last line; "" is the end of the session.
func (s *stranger) reply() string {
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			s.gone = true
			return ""
		}
		if len(line) < 4 || line[3] != '-' {
			return strings.TrimSpace(line)
		}
	}
}
