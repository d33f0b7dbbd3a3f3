package policy

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"postrider/relay"
)

// questions are conditions of every kind that has a Go function, and some that have not.
var questions = []string{
	`client.ip == "192.0.2.7"`, `client.helo != "app.example"`, `listener == user`, `user == ""`,
	`tls.version == "TLSv1.3" and tls.cipher endsWith "SHA256"`, `sender.address contains "@list"`,
	`sender.local startsWith "News" or sender.domain == "x"`, `not (recipient.domain == "dest.example")`,
	`recipient.address == recipient.local + "@" + recipient.domain`, `recipient.domain in ["a.example", "dest.example"]`,
	`not (recipient.local in ["u", "v"])`, `"bulk" in tags`, `"none" in tags || true`, `user in ["", "x"] && listener != "l"`,
	`cidr(client.ip, "192.0.2.0/24", "::/0")`, `cidr(client.ip, "10.0.0.0/8")`, `domainIn(recipient.domain, ".example", "x")`,
	`glob("News@*", sender.address)`, `lower(sender.local) matches "^news?$"`, `time.hour == 14 and time.weekday == "saturday"`,
	`time.minute > 3 and time.day == 21 and time.month == 11 and time.year == 2026`, `len(tags) == 2`,
	`any(tags, # startsWith "b")`, `queue("corp").waiting == 7 and queue("corp").blocked`, `queue("corp").age == 90 and queue("other").age == 0`, `1 < 2`, `true`,
	`cidr(listener, "192.0.2.0/24")`, `(listener == "l" ? sender : recipient).domain == "dest.example"`,
}

// dataQuestions are those about a whole message.
var dataQuestions = []string{
	`size > mb(25)`, `size <= 10 or size >= 25000001`, `size < 5 or size != 5 and size == 25000001`, `subject == "hello"`,
	`header("x-spam") == "YES" and header("none") == ""`, `spf.result == "pass" and dkim.result != "pass"`,
	`dmarc.result == "fail" and dmarc.policy == "reject"`, `any(recipients, .domain == "dest.example")`,
	`len(recipients) == 1 and recipients[0].local == "u"`, `recipients[3].local == "u"`,
}

func questionable(t testing.TB) (*Policy, *relay.Message) {
	t.Helper()
	p, err := New(Options{
		Hostname: "relay.example", Routes: []Route{{Name: "all"}},
		Now: func() time.Time { return time.Date(2026, 11, 21, 14, 5, 0, 0, time.UTC) },
		Queue: func(to relay.Destination) relay.BinStatus {
			st := relay.BinStatus{Loaded: 5, Away: 2, Closed: to.Route == "corp"}
			if st.Closed {
				st.Oldest = time.Date(2026, 11, 21, 14, 3, 30, 0, time.UTC).Add(-time.Millisecond)
			}
			return st
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	to := relay.Recipient{Address: relay.Address{Local: "u", Domain: "dest.example"}}
	return p, &relay.Message{
		Origin:   relay.Origin{Listener: "l", Client: netip.MustParseAddr("192.0.2.7"), Greeting: "app.example", TLS: "TLSv1.3, TLS_AES_128_GCM_SHA256"},
		Envelope: relay.Envelope{Sender: relay.Address{Local: "News", Domain: "list.example"}, Recipients: []relay.Recipient{to}},
		Tags:     []string{"bulk", "b2"}, Size: 25_000_001,
		Header:   []byte("Subject: hello\r\nX-Spam: YES\r\n\r\n"),
		Verified: relay.Verified{SPF: "pass", DKIM: "none", DMARC: "fail", DMARCPolicy: "reject"},
	}
}

// What runs as a Go function means what the machine means by it.
func TestNative(t *testing.T) {
	t.Parallel()
	p, m := questionable(t)
	natives := 0
	for at, list := range map[stage][]string{rcpt: questions, data: dataQuestions} {
		for _, text := range list {
			made, err := p.compileTest(text, at)
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			if made.bool == nil {
				continue
			}
			natives++
			if got, want, differ := both(p, m, made); differ {
				t.Errorf("%s: a function says %s, the machine %s", text, got, want)
			}
		}
	}
	if natives < 25 {
		t.Errorf("only %d run as functions", natives)
	}
}

// both asks a program in both ways.
func both(p *Policy, m *relay.Message, made *program) (native, machine string, differ bool) {
	ask := func(made *program) string {
		f := p.facts(context.Background(), &m.Origin, m)
		defer f.done()
		f.recipient = recipientAddress(m.Envelope.Recipients[0].Address, p.hostname)
		is := made.test(f)
		switch {
		case f.err != nil:
			return "failed"
		case is:
			return "true"
		}
		return "false"
	}
	native, machine = ask(made), ask(&program{code: made.code, names: made.names})
	return native, machine, native != machine
}

func FuzzNative(f *testing.F) {
	for _, text := range questions {
		f.Add(text, "a", "b.example")
	}
	p, m := questionable(f)
	f.Fuzz(func(t *testing.T, text, local, domain string) {
		made, err := p.compileTest(text, rcpt)
		if err != nil || made.bool == nil || made.code == nil {
			t.Skip()
		}
		own := *m
		own.Envelope.Sender = relay.Address{Local: local, Domain: domain}
		own.Envelope.Recipients = []relay.Recipient{{Address: relay.Address{Local: local, Domain: domain}}}
		if native, machine, differ := both(p, &own, made); differ {
			t.Errorf("%s: a function says %s, the machine %s", text, native, machine)
		}
	})
}
