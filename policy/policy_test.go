package policy_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/policy"
	"postrider/relay"
)

var _ relay.Policy = (*policy.Policy)(nil)

const local = "local"

// testPolicy fills in what a test leaves out: a relaying listener and one MX route.
func testPolicy(t testing.TB, o policy.Options) *policy.Policy {
	t.Helper()
	if o.Hostname == "" {
		o.Hostname = "relay.example"
	}
	if o.Relay == nil {
		o.Relay = map[string][]netip.Prefix{local: {
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("fe80::/10"),
		}}
	}
	if o.Routes == nil {
		o.Routes = []policy.Route{{Name: "internet", MX: true}}
	}
	p, err := policy.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func address(t testing.TB, text string) relay.Address {
	t.Helper()
	a, err := relay.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func recipient(t testing.TB, text string) relay.Recipient {
	return relay.Recipient{Address: address(t, text)}
}

func origin() *relay.Origin {
	return &relay.Origin{Listener: local, Client: netip.MustParseAddr("192.0.2.7"), Greeting: "app.example", TLS: "TLSv1.3"}
}

func text(r *relay.Reply) string {
	if r == nil {
		return "yes"
	}
	return r.String()
}

func TestRelayPermission(t *testing.T) {
	t.Parallel()
	const denied = "554 5.7.1 <u@dest.example>: Relay access denied"
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	tests := []struct {
		name   string
		origin relay.Origin
		relay  map[string][]netip.Prefix
		want   string
	}{
		{"allowed network", relay.Origin{Listener: local, Client: netip.MustParseAddr("192.0.2.1")}, nil, "yes"},
		{"IPv4 in IPv6", relay.Origin{Listener: local, Client: netip.MustParseAddr("::ffff:192.0.2.1")}, nil, "yes"},
		{"zone", relay.Origin{Listener: local, Client: netip.MustParseAddr("fe80::1%eth0")}, nil, "yes"},
		{"stranger", relay.Origin{Listener: local, Client: netip.MustParseAddr("198.51.100.1")}, nil, denied},
		{"container bridge", relay.Origin{Listener: local, Client: netip.MustParseAddr("172.17.0.1")}, nil, denied},
		{"loopback is not special", relay.Origin{Listener: local, Client: netip.MustParseAddr("127.0.0.1")}, nil, denied},
		{"authenticated stranger", relay.Origin{Listener: local, Client: netip.MustParseAddr("198.51.100.1"), User: "ann"}, nil, "yes"},
		{"another listener's network", relay.Origin{Listener: "other", Client: netip.MustParseAddr("192.0.2.1")}, nil, denied},
		{"Unix socket, loopback allowed", relay.Origin{Listener: local}, map[string][]netip.Prefix{local: {loopback}}, "yes"},
		{"Unix socket, only ::1 allowed", relay.Origin{Listener: local}, map[string][]netip.Prefix{local: {netip.MustParsePrefix("::1/128")}}, "yes"},
		{"Unix socket, loopback not allowed", relay.Origin{Listener: local}, nil, denied},
		{"nobody is allowed", relay.Origin{Listener: local, Client: netip.MustParseAddr("192.0.2.1")}, map[string][]netip.Prefix{}, denied},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// A rule that accepts everything does not grant permission.
			p := testPolicy(t, policy.Options{Relay: test.relay, Rules: []policy.Rule{{Name: "all", At: "rcpt", Accept: true}}})
			got := text(p.Rcpt(context.Background(), &relay.Message{Origin: test.origin}, recipient(t, "u@dest.example")).Reply)
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestRoute(t *testing.T) {
	t.Parallel()
	p := testPolicy(t, policy.Options{Routes: []policy.Route{
		{Name: "corp", When: `recipient.domain == "corp.example"`},
		{Name: "bulk", When: `sender.local startsWith "news" and user == "" and tls.version == ""`},
		{Name: "literal", When: `recipient.domain startsWith "["`, MX: true},
		{Name: "hosts", When: `recipient.domain in ["a.example", "b.example"]`},
		{Name: "postmaster", When: `recipient.address == "Postmaster@relay.example"`, MX: true},
		{Name: "internet", When: `sender.address != "nobody@here.example"`, MX: true},
	}})
	tests := []struct{ from, to, want string }{
		{"a@here.example", "u@CORP.example", "corp"},
		{"a@here.example", "u@b.example", "hosts"},
		{"a@here.example", "u@dest.example", "internet/dest.example"},
		{"", "u@dest.example", "internet/dest.example"},
		{"news@here.example", "u@dest.example", "internet/dest.example"}, // over TLS
		{"a@here.example", "u@[192.0.2.1]", "literal/[192.0.2.1]"},
		{"a@here.example", "u@[IPv6:2001:db8::1]", "literal/[ipv6:2001:db8::1]"},
		{"a@here.example", "Postmaster", "postmaster/relay.example"},
		{"a@here.example", "u@corp.example.org", "internet/corp.example.org"},
		{"nobody@here.example", "u@dest.example", "451 4.4.4 No route for this recipient"},
	}
	for _, test := range tests {
		to, reply := p.Route(&relay.Message{Origin: *origin(), Envelope: relay.Envelope{Sender: address(t, test.from)}}, recipient(t, test.to))
		got := to.To.String()
		if reply != nil {
			got = text(reply)
		}
		if got != test.want {
			t.Errorf("from %q to %q: got %q, want %q", test.from, test.to, got, test.want)
		}
	}
}

// Whoever accepts mail refuses what no route takes; mail that is queued waits for a route.
func TestNoRoute(t *testing.T) {
	t.Parallel()
	p := testPolicy(t, policy.Options{Routes: []policy.Route{{Name: "corp", When: `recipient.domain == "corp.example"`}}})
	_, reply := p.Route(&relay.Message{Origin: *origin()}, recipient(t, "u@dest.example"))
	if got, want := text(reply), "451 4.4.4 No route for this recipient"; got != want || reply.Reason != relay.ReasonRoute {
		t.Errorf("got %q, %q, want %q", got, reply.Reason, want)
	}
}

// ask puts one session and message to the stage.
func ask(t testing.TB, p *policy.Policy, at string) *relay.Reply {
	t.Helper()
	ctx, m := context.Background(), &relay.Message{Origin: *origin()}
	e := &m.Envelope
	e.Sender = address(t, "News@list.example")
	switch at {
	case "connect":
		return p.Connect(ctx, &m.Origin).Reply
	case "mail":
		return p.Mail(ctx, m).Reply
	case "rcpt":
		return p.Rcpt(ctx, m, recipient(t, "u@dest.example")).Reply
	}
	e.Recipients = []relay.Recipient{recipient(t, "u@dest.example"), recipient(t, "postmaster")}
	m.Header = []byte("Received: from a\r\n by b\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n at last\r\nX-Spam : YES\r\nX-Odd: =?big99?q?x?=\r\nSubject: second\r\n\r\n")
	m.Size = 25_000_001
	return p.Data(ctx, m).Reply
}

func TestConditions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		at, when string
		want     bool
	}{
		{"connect", `client.ip == "192.0.2.7"`, true},
		{"connect", `cidr(client.ip, "192.0.2.0/24")`, true},
		{"connect", `cidr(client.ip, "10.0.0.0/8", "192.0.2.7")`, true},
		{"connect", `cidr(client.ip, "10.0.0.0/8", "::/0")`, false},
		{"connect", `listener == "local" && tls.version == "TLSv1.3"`, true},
		{"mail", `client.helo == "app.example"`, true},
		{"mail", `user == ""`, true},
		{"mail", `sender.local == "News" and sender.domain == "list.example"`, true},
		{"mail", `glob("news@*.Example", sender.address)`, true},
		{"mail", `glob("n?ws@list", sender.address)`, false},
		{"mail", `lower(sender.local) matches "^news?$"`, true},
		{"rcpt", `domainIn(recipient.domain, "dest.example")`, true},
		{"rcpt", `domainIn(recipient.domain, ".dest.example")`, false},
		{"rcpt", `domainIn("a.b." + recipient.domain, "x.example", ".dest.example")`, true},
		{"rcpt", `domainIn("notdest.example", ".dest.example", "dest.example")`, false},
		{"rcpt", `recipient.local + "@" + recipient.domain == recipient.address`, true},
		{"data", `size > mb(25)`, true},
		{"data", `size > mb(26)`, false},
		{"data", `subject == "Grüße at last"`, true},
		{"data", `header("x-spam") == "YES"`, true},
		{"data", `header("X-Odd") == "=?big99?q?x?="`, true},
		{"data", `header("Received") == "from a by b"`, true},
		{"data", `header("Missing") == "" and header("") == ""`, true},
		{"data", `any(recipients, .domain == "relay.example")`, true},
		{"data", `len(recipients) == 2 && sender.local == "News"`, true},
	}
	for _, test := range tests {
		t.Run(test.when, func(t *testing.T) {
			t.Parallel()
			p := testPolicy(t, policy.Options{Rules: []policy.Rule{{Name: "r", At: test.at, When: test.when, Reject: "550 5.7.9 matched"}}})
			// Twice: the second asks with what the first returned.
			for range 2 {
				want := map[bool]string{true: "550 5.7.9 matched", false: "yes"}[test.want]
				if got := text(ask(t, p, test.at)); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
}

func TestFirstRuleThatMatchesDecides(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"connect", "mail", "rcpt", "data"} {
		rules := []policy.Rule{
			{Name: "no", At: at, When: `listener == "other"`, Reject: "550 5.7.1 wrong"},
			{Name: "late", At: at, When: `listener == "local"`, Defer: "450 come back"},
			{Name: "never", At: at, Reject: "550 5.7.1 never reached"},
		}
		for _, other := range []string{"connect", "mail", "rcpt", "data"} {
			if other != at {
				rules = slices.Insert(rules, 0, policy.Rule{Name: other, At: other, Reject: "550 5.7.1 wrong stage"})
			}
		}
		p := testPolicy(t, policy.Options{Rules: rules})
		reply := ask(t, p, at)
		if got, want := text(reply), "450 4.7.1 come back"; got != want {
			t.Fatalf("%s: got %q, want %q", at, got, want)
		}
		if got := reply.Error(); !strings.HasSuffix(got, "rule late") {
			t.Errorf("%s: %q does not name the rule", at, got)
		}
		accept := testPolicy(t, policy.Options{Rules: []policy.Rule{
			{Name: "ok", At: at, When: `listener == "local"`, Accept: true}, {Name: "never", At: at, Reject: "550 5.7.1 never reached"},
		}})
		if got := text(ask(t, accept, at)); got != "yes" {
			t.Errorf("%s: got %q after accept", at, got)
		}
	}
}

// A rule's reply is its caller's own: what one does to it, no other sees.
func TestRepliesAreNotShared(t *testing.T) {
	t.Parallel()
	p := testPolicy(t, policy.Options{Rules: []policy.Rule{{Name: "r", At: "connect", Reject: "550 5.7.1 no"}}})
	ask(t, p, "connect").Text = "changed"
	if got := ask(t, p, "connect").Text; got != "no" {
		t.Errorf("got %q", got)
	}
}

// Conformance I20: what fails inside is temporary, and the client does not read why.
func TestFailureIsTemporary(t *testing.T) {
	t.Parallel()
	const want = "451 4.3.0 Temporary local problem, try again later"
	for at, when := range map[string]string{
		"connect": `cidr(listener, "192.0.2.0/24")`,
		"mail":    `int(sender.local) > 5`,
		"rcpt":    `[1, 2][int(len(recipient.address))] == 1`,
		"data":    `recipients[17].domain == "a"`,
	} {
		p := testPolicy(t, policy.Options{Rules: []policy.Rule{
			{Name: "broken", At: at, When: when, Accept: true}, {Name: "next", At: at, Accept: true},
		}})
		for range 2 {
			reply := ask(t, p, at)
			if got := text(reply); got != want {
				t.Fatalf("%s: got %q, want %q", at, got, want)
			}
			if !strings.Contains(reply.Error(), "rule broken") {
				t.Errorf("%s: %q does not name the rule", at, reply.Error())
			}
		}
	}
	p := testPolicy(t, policy.Options{Routes: []policy.Route{{Name: "broken", When: `int(recipient.local) == 1`}, {Name: "all"}}})
	if _, reply := p.Route(&relay.Message{Origin: *origin()}, recipient(t, "u@dest.example")); text(reply) != want {
		t.Errorf("route: got %q, want %q", text(reply), want)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	rule := func(at, when string) policy.Options {
		return policy.Options{Rules: []policy.Rule{{Name: "r", At: at, When: when, Accept: true}}}
	}
	action := func(r policy.Rule) policy.Options {
		r.Name, r.At = "r", "data"
		return policy.Options{Rules: []policy.Rule{r}}
	}
	tests := []struct {
		name    string
		options policy.Options
		want    string
	}{
		{"syntax", rule("data", `size >`), `rules[0].when: 1:6: unexpected token EOF`},
		{"unknown name", rule("rcpt", `true and recipent.domain == "x"`), `rules[0].when: 1:10: unknown name recipent`},
		{"an equals sign", rule("rcpt", `recipient.domain = "x"`), `rules[0].when: 1:18: unexpected token Operator("="): == compares`},
		{"a loud word", rule("rcpt", `true AND false`), `rules[0].when: 1:6: unexpected token Identifier("AND"): the word is and`},
		{"unknown field", rule("rcpt", `recipient.host == "x"`), `rules[0].when: 1:11: address has no field host`},
		{"types", rule("data", "size > 1 and\nsize == \"big\""), `rules[0].when: 2:6: invalid operation: == (mismatched types int and string)`},
		{"tls as a condition", rule("mail", `user == "" and !tls`), `rules[0].when: 1:17: tls is not one value: write tls.version or tls.cipher; without TLS it is tls.version == ""`},
		{"tls alone", rule("mail", `tls`), `rules[0].when: 1:1: tls is not one value: write tls.version or tls.cipher; without TLS it is tls.version == ""`},
		{"tls compared", rule("mail", `tls == ""`), `rules[0].when: 1:1: tls is not one value: write tls.version or tls.cipher; without TLS it is tls.version == ""`},
		{"sender compared", rule("data", `sender in recipients`), `rules[0].when: 1:1: sender is not one value: write sender.address or sender.local or sender.domain`},
		{"not a condition", rule("data", `size`), `rules[0].when: expected bool, but got int`},
		{"too early", rule("mail", `recipient.domain == "x"`), `rules[0].when: 1:1: recipient is known only at rcpt and to routes`},
		{"greeting at connect", rule("connect", `client.helo == "x"`), `rules[0].when: 1:1: client.helo is not known at connect, only from mail on`},
		{"size at rcpt", rule("rcpt", `size > 1`), `rules[0].when: 1:1: size is known only at data`},
		{"header at rcpt", rule("rcpt", `header("a") == ""`), `rules[0].when: 1:1: header is known only at data`},
		{"recipient at data", rule("data", `recipient.domain == "x"`), `rules[0].when: 1:1: recipient is known only at rcpt and to routes; at data there are recipients, as in any(recipients, .domain == "example.com")`},
		{"whole environment", rule("mail", `$env["recipient"] == nil`), `rules[0].when: 1:1: unknown name $env`},
		{"now", rule("mail", `now().Hour() > 5`), `rules[0].when: 1:1: unknown name now`},
		{"network", rule("mail", `cidr(client.ip, "10.0.0.0/33")`), `rules[0].when: 1:17: "10.0.0.0/33" is not a network such as 192.0.2.0/24, 2001:db8::/32 or a single address`},
		{"network not literal", rule("mail", `cidr(client.ip, user)`), `rules[0].when: 1:17: cidr wants its networks in quotes, as in "192.0.2.0/24"`},
		{"no network", rule("mail", `cidr(client.ip)`), `rules[0].when: 1:1: cidr wants an address and networks, as in cidr(client.ip, "192.0.2.0/24")`},
		{"stage", rule("helo", ``), `rules[0].at: "helo" is not one of connect, mail, rcpt, data`},
		{"no action", action(policy.Rule{}), `rules[0]: does nothing: accept, reject, defer, discard, hold or a change is needed`},
		{"two actions", action(policy.Rule{Accept: true, Defer: "450 4.7.1 x"}), `rules[0]: only one of accept, reject, defer and discard is possible`},
		{"reject with 4xx", action(policy.Rule{Reject: "450 4.7.1 x"}), `rules[0].reject: the code 450 is not 5xx, as in "550 5.7.1 not here"`},
		{"defer with 5xx", action(policy.Rule{Defer: "550 5.7.1 x"}), `rules[0].defer: the code 550 is not 4xx, as in "450 4.7.1 not now"`},
		{"classes differ", action(policy.Rule{Reject: "550 4.7.1 x"}), `rules[0].reject: the enhanced code 4.7.1 is not of the class of 550`},
		{"no code", action(policy.Rule{Reject: "go away"}), `rules[0].reject: "go away" is not a reply such as "550 5.7.1 not here"`},
		{"no text", action(policy.Rule{Reject: "550 5.7.1 "}), `rules[0].reject: a reply needs a text`},
		{"two lines", action(policy.Rule{Reject: "550 5.7.1 a\r\n250 b"}), `rules[0].reject: "550 5.7.1 a\r\n250 b" is not a reply such as "550 5.7.1 not here"`},
		{"not ASCII", action(policy.Rule{Reject: "550 5.7.1 zu groß"}), `rules[0].reject: the text of a reply is one line of ASCII`},
		{"long text", action(policy.Rule{Reject: "550 5.7.1 " + strings.Repeat("x", 401)}), `rules[0].reject: the text is longer than 400 characters`},
		{"no name", policy.Options{Rules: []policy.Rule{{At: "mail", Accept: true}}}, `rules[0].name: a name is needed`},
		{"network of a listener", policy.Options{Relay: map[string][]netip.Prefix{"a": {{}}}}, `relay[a][0]: not a network`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.options.Hostname = "relay.example"
			test.options.Routes = []policy.Route{{Name: "internet", MX: true}}
			_, err := policy.New(test.options)
			if got := fmt.Sprint(err); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			var field *policy.FieldError
			if !errors.As(err, &field) {
				t.Errorf("%v is not a FieldError", err)
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := policy.New(policy.Options{
		Routes: []policy.Route{{Name: "a/b", MX: true}, {Name: "c", When: "nope"}, {Name: "c"}},
		Rules:  []policy.Rule{{Name: "r", At: "mail", When: "nope", Reject: "x"}, {Name: "r", At: "nope"}},
	})
	want := strings.Join([]string{
		`routes[0].name: a route's name has no slash`,
		`hostname: needed by a route that delivers by MX`,
		`routes[2].name: the name "c" is taken by another one above`,
		`rules[1].name: the name "r" is taken by another one above`,
		`routes[1].when: 1:1: unknown name nope`,
		`rules[0].when: 1:1: unknown name nope`,
		`rules[0].reject: "x" is not a reply such as "550 5.7.1 not here"`,
		`rules[1].at: "nope" is not one of connect, mail, rcpt, data`,
	}, "\n")
	if got := fmt.Sprint(err); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if _, err := policy.New(policy.Options{}); fmt.Sprint(err) != "routes: at least one route is needed" {
		t.Errorf("no routes: got %v", err)
	}
}

// BenchmarkRules asks 100 rules of the kinds that people write, of which none matches.
func BenchmarkRules(b *testing.B) {
	kinds := []string{
		`recipient.domain == "d%d.example"`, `sender.domain == "d%d.example" and user == "u"`,
		`cidr(client.ip, "10.%d.0.0/16")`, `domainIn(recipient.domain, "d%d.example", ".x%[1]d.example")`,
		`listener == "l%d" or user == "u%[1]d"`, `recipient.local startsWith "l%d"`, `"t%d" in tags`,
		`recipient.domain in ["a%d.example", "b%[1]d.example"]`,
	}
	var rules []policy.Rule
	for i := range 100 {
		rules = append(rules, policy.Rule{Name: fmt.Sprint(i), At: "rcpt", When: fmt.Sprintf(kinds[i%len(kinds)], i), Reject: "550 5.7.1 no"})
	}
	p := testPolicy(b, policy.Options{Rules: rules})
	ctx, m, r := context.Background(), &relay.Message{Origin: *origin()}, recipient(b, "u@dest.example")
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		if reply := p.Rcpt(ctx, m, r).Reply; reply != nil {
			b.Fatal(reply)
		}
	}
	// Of time alone, other load on the machine has its share.
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used, in user and kernel.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
