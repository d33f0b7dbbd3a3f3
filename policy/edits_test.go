package policy_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/policy"
	"postrider/relay"
)

// letter is a message as it stands at data.
func letter(t testing.TB) *relay.Message {
	t.Helper()
	return &relay.Message{
		Origin: *origin(),
		Envelope: relay.Envelope{
			Sender:     address(t, "app@host.internal"),
			Recipients: []relay.Recipient{recipient(t, "ann@dest.example"), recipient(t, "bob@dest.example")},
		},
		Header: []byte("From: \"The App\" <app@host.internal>,\r\n other@kept.example\r\nSender: <app@host.internal>\r\nSubject: hello\r\n\r\n"),
	}
}

// show writes edits down.
func show(e *relay.Edits) string {
	if e == nil {
		return "nothing"
	}
	var texts []string
	add := func(is bool, format string, args ...any) {
		if is {
			texts = append(texts, fmt.Sprintf(format, args...))
		}
	}
	add(e.Held != "", "held %s", e.Held)
	add(e.Discard, "discard")
	add(e.Route != "", "route %s", e.Route)
	if e.Recipients != nil {
		texts = append(texts, "to")
	}
	for _, r := range e.Recipients {
		add(true, "%s %s %d", r.Address, r.Original, r.Notify)
	}
	for _, r := range e.Removed {
		add(true, "removed %s: %s", r.Address, e.Ends[r.Address].Text)
	}
	if e.Sender != nil {
		add(true, "sender %s", e.Sender)
	}
	for _, h := range e.Header {
		add(true, "%s|%t|%s|%s", h.Name, h.Remove, h.From, h.Value)
	}
	add(len(e.Tags) > 0, "tags %s", e.Tags)
	if e.Priority != nil {
		add(true, "priority %d", *e.Priority)
	}
	add(e.Flow != "", "flow %s", e.Flow)
	add(e.Encryption > 0, "encryption %d", e.Encryption)
	add(len(e.SignWith) > 0, "sign %s", e.SignWith)
	return strings.Join(texts, "; ")
}

func TestActions(t *testing.T) {
	t.Parallel()
	five := 5
	tests := []struct {
		name, at string
		rule     policy.Rule
		want     string
	}{
		{"accept", "data", policy.Rule{Accept: true}, "nothing"},
		{"hold", "data", policy.Rule{Hold: "odd"}, "held odd"},
		{"discard", "mail", policy.Rule{Discard: true}, "discard"},
		{"tag at connect", "connect", policy.Rule{Tag: []string{"a", "b"}}, "tags [a b]"},
		{"priority and flow", "mail", policy.Rule{Priority: &five, Flow: "{{sender.domain}}-mail"}, "priority 5; flow host.internal-mail"},
		{"route", "rcpt", policy.Rule{Route: "internet"}, "route internet"},
		{"TLS", "mail", policy.Rule{RequireTLS: "verify", SignWith: []string{"example.com"}}, "encryption 2; sign [example.com]"},
		{"redirect at rcpt", "rcpt", policy.Rule{Redirect: []string{"{{recipient.local}}+x@two.example", "b@two.example"}},
			"to; ann+x@two.example rfc822;ann@dest.example 0; b@two.example rfc822;ann@dest.example 0; " +
				"removed ann@dest.example: Redirected to ann+x@two.example, b@two.example by rule r"},
		{"redirect at data", "data", policy.Rule{Redirect: []string{"qa@two.example"}},
			"to; qa@two.example rfc822;ann@dest.example 0; removed ann@dest.example: Redirected to qa@two.example by rule r; " +
				"removed bob@dest.example: Redirected to qa@two.example by rule r"},
		{"add and bcc", "data", policy.Rule{AddRecipients: []string{"c@two.example"}, BCC: []string{"archive@two.example"}},
			"to; ann@dest.example  0; bob@dest.example  0; c@two.example  0; archive@two.example  1"},
		{"remove", "data", policy.Rule{RemoveRecipients: []string{"BOB@*"}}, "to; ann@dest.example  0; removed bob@dest.example: Removed by rule r"},
		{"remove all", "rcpt", policy.Rule{RemoveRecipients: []string{"*"}}, "to; removed ann@dest.example: Removed by rule r"},
		{"replace", "data", policy.Rule{ReplaceRecipients: []policy.Rewrite{{Match: "b*@dest.example", To: "*x@new.example"}}},
			"to; ann@dest.example  0; obx@new.example rfc822;bob@dest.example 0; removed bob@dest.example: Redirected to obx@new.example by rule r"},
		{"replace nobody", "data", policy.Rule{ReplaceRecipients: []policy.Rewrite{{Match: "@other.example", To: "@new.example"}}}, ""},
		{"header", "data", policy.Rule{AddHeader: []string{"X-A: {{subject}} of {{client.ip}}"}, SetHeader: []string{"X-B: b"}, RemoveHeader: []string{"X-Internal-*"}},
			"X-Internal-*|true||; X-B|true||b; X-A|false||hello of 192.0.2.7"},
		{"sender by domain", "data", policy.Rule{RewriteSender: []policy.Rewrite{{Match: "@host.internal", To: "@example.com"}}, KeepReplies: true},
			`sender app@example.com; from|false|"The App" <app@host.internal>, other@kept.example|"The App" <app@example.com>, other@kept.example; ` +
				`Reply-To|true||"The App" <app@host.internal>, other@kept.example; sender|false|<app@host.internal>|<app@example.com>`},
		{"sender by pattern, envelope only", "data", policy.Rule{RewriteSender: []policy.Rewrite{{Match: "*@*.internal", To: "bounce-*@example.com", In: []string{"envelope"}}}}, "sender bounce-app@example.com"},
		{"sender, exactly", "data", policy.Rule{RewriteSender: []policy.Rewrite{{Match: "other@kept.example", To: "relay@example.com", In: []string{"from"}}}},
			`from|false|"The App" <app@host.internal>, other@kept.example|"The App" <app@host.internal>, relay@example.com`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.rule.Name, test.rule.At = "r", test.at
			p := testPolicy(t, policy.Options{Rules: []policy.Rule{test.rule}})
			ruling := ruling(t, p, test.at, letter(t))
			if got := show(ruling.Edits); got != test.want || ruling.Reply != nil {
				t.Errorf("got\n%s (%v), want\n%s", got, ruling.Reply, test.want)
			}
			if len(ruling.Trace) != 1 || ruling.Trace[0].Said == "" || ruling.Trace[0].Stage != test.at {
				t.Errorf("the trace is %v", ruling.Trace)
			}
			// A dry rule says the same and does nothing.
			test.rule.Dry = true
			p = testPolicy(t, policy.Options{Rules: []policy.Rule{test.rule}})
			dry := p
			said := ruling.Trace[0].Said
			if ruling := rulingOf(t, dry, test.at); ruling.Edits != nil || ruling.Reply != nil || ruling.Trace[0].Said != "dry, would: "+said {
				t.Errorf("dry: %s, %v, %v", show(ruling.Edits), ruling.Reply, ruling.Trace)
			}
		})
	}
}

func rulingOf(t testing.TB, p *policy.Policy, at string) relay.Ruling {
	return ruling(t, p, at, letter(t))
}

func ruling(t testing.TB, p *policy.Policy, at string, m *relay.Message) relay.Ruling {
	t.Helper()
	ctx := context.Background()
	switch at {
	case "connect":
		return p.Connect(ctx, &m.Origin)
	case "mail":
		return p.Mail(ctx, m)
	case "rcpt":
		return p.Rcpt(ctx, m, m.Envelope.Recipients[0])
	}
	return p.Data(ctx, m)
}

// Rules that change mail do not end the stage, see the tags of those before them, and nothing
// of what they wanted is done to what is refused.
func TestRulesFollowEachOther(t *testing.T) {
	t.Parallel()
	p := testPolicy(t, policy.Options{Rules: []policy.Rule{
		{Name: "tag", At: "data", When: `subject == "hello"`, Tag: []string{"greeting"}},
		{Name: "other", At: "data", When: `subject == "bye"`, Hold: "bye"},
		{Name: "tagged", At: "data", When: `"greeting" in tags and any(tags, # == "greeting")`, AddHeader: []string{"X-T: 1"}},
		{Name: "drop", At: "data", When: `sender.local == "bad"`, Discard: true},
		{Name: "refuse", At: "data", When: `size > 10`, Reject: "550 5.7.1 no"},
		{Name: "last", At: "data", Hold: "late"},
	}})
	m := letter(t)
	r := ruling(t, p, "data", m)
	if got, want := show(r.Edits), "held late; X-T|false||1; tags [greeting]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var said []string
	for _, v := range r.Trace {
		said = append(said, v.Rule+"="+v.Said)
	}
	if got, want := strings.Join(said, ","), "tag=tag greeting,other=,tagged=add header X-T: 1,drop=,refuse=,last=hold: late"; got != want {
		t.Errorf("the trace is %q, want %q", got, want)
	}
	m.Size = 11
	if r := ruling(t, p, "data", m); r.Edits != nil || text(r.Reply) != "550 5.7.1 no" {
		t.Errorf("got %s and %s", show(r.Edits), text(r.Reply))
	}
}

// Conformance I20: what fails while a rule acts is temporary too.
func TestActionFails(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]policy.Rule{
		"no address":     {Redirect: []string{"{{subject}}"}},
		"template":       {AddHeader: []string{`X-A: {{string([1][int(subject)])}}`}},
		"limit":          {Limit: &policy.Limit{Rate: relay.Rate{Count: 1, Per: time.Hour}, By: `string(int(subject))`}},
		"not an address": {AddRecipients: []string{"{{sender.local}}"}},
	} {
		rule.Name, rule.At = "r", "data"
		p := testPolicy(t, policy.Options{Rules: []policy.Rule{rule}})
		m := letter(t)
		m.Header = []byte("From: <<>\r\nSubject: hello\r\n\r\n")
		r := ruling(t, p, "data", m)
		if text(r.Reply) != "451 4.3.0 Temporary local problem, try again later" || r.Edits != nil || !strings.Contains(r.Reply.Error(), "rule r") {
			t.Errorf("%s: got %v, %s", name, r.Reply, show(r.Edits))
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	rule := policy.Rule{Name: "r", At: "mail", Limit: &policy.Limit{Rate: relay.Rate{Count: 2, Per: time.Hour}, By: `sender.domain`}}
	meters := policy.NewMeters()
	make := func() *policy.Policy {
		return testPolicy(t, policy.Options{Rules: []policy.Rule{rule}, Meters: meters, Now: func() time.Time { return now }})
	}
	p := make()
	other := letter(t)
	other.Envelope.Sender.Domain = "other.example"
	for i, want := range []string{"yes", "yes", "450 4.7.1 Too much in too short a time, try again later"} {
		r := ruling(t, p, "mail", letter(t))
		if text(r.Reply) != want {
			t.Errorf("message %d: got %s, want %s", i, text(r.Reply), want)
		}
		if r.Reply != nil && r.Reply.Reason != relay.ReasonRate {
			t.Errorf("the reason is %q", r.Reply.Reason)
		}
		// A new policy goes on counting.
		p = make()
	}
	if r := ruling(t, p, "mail", other); r.Reply != nil {
		t.Errorf("another domain: %v", r.Reply)
	}
	now = now.Add(31 * time.Minute)
	if r := ruling(t, p, "mail", letter(t)); r.Reply != nil {
		t.Errorf("half an hour later: %v", r.Reply)
	}
}

// A message with more recipients than pass in a while is not one that never passes.
func TestLimitOfRecipients(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	p := testPolicy(t, policy.Options{Now: func() time.Time { return now }, Rules: []policy.Rule{
		{Name: "r", At: "data", Limit: &policy.Limit{Rate: relay.Rate{Count: 1, Per: time.Hour, Of: relay.Recipients}}},
	}})
	for i, want := range []bool{true, false, false, true} {
		if r := ruling(t, p, "data", letter(t)); (r.Reply == nil) != want {
			t.Errorf("two recipients, after %d times 41 minutes: %v", i, r.Reply)
		}
		now = now.Add(41 * time.Minute)
	}
}

// What a rule counts is not taken from others, and a dry one counts for itself.
func TestRatesOfRules(t *testing.T) {
	t.Parallel()
	const over = `rate(sender.address, 2, "1h")`
	p := testPolicy(t, policy.Options{Rules: []policy.Rule{
		{Name: "dry", At: "mail", When: over, Dry: true, Reject: "550 5.7.1 no"},
		{Name: "tag", At: "mail", When: over, Tag: []string{"fast"}},
		{Name: "live", At: "mail", When: over, Reject: "550 5.7.1 no"},
	}})
	for i, want := range []bool{true, true, false} {
		if r := ruling(t, p, "mail", letter(t)); (r.Reply == nil) != want {
			t.Errorf("message %d: %v", i, r.Reply)
		}
	}
}

func TestActionFaults(t *testing.T) {
	t.Parallel()
	ten := 10
	tests := []struct {
		name, at string
		rule     policy.Rule
		want     string
	}{
		{"recipients too early", "mail", policy.Rule{BCC: []string{"a@b.example"}}, "rules[0]: recipients are changed at rcpt or data, not at mail"},
		{"senders too early", "mail", policy.Rule{RewriteSender: []policy.Rewrite{{Match: "a", To: "b@c.example"}}}, "rules[0].rewrite_sender: senders are rewritten at data, not at mail"},
		{"address", "data", policy.Rule{Redirect: []string{"nobody"}}, `rules[0].redirect[0]: "nobody": not a valid address: no domain`},
		{"template", "data", policy.Rule{Redirect: []string{"{{nope}}@x.example"}}, `rules[0].redirect[0]: {{nope}}: unknown name nope`},
		{"template of a number", "data", policy.Rule{AddHeader: []string{"X-A: {{size}}"}}, `rules[0].add_header[0]: {{size}}: expected string, but got int`},
		{"open template", "data", policy.Rule{AddHeader: []string{"X-A: {{size"}}, `rules[0].add_header[0]: {{ without }}`},
		{"empty template", "data", policy.Rule{AddHeader: []string{"X-A: {{}}"}}, `rules[0].add_header[0]: {{}} is empty`},
		{"field", "data", policy.Rule{SetHeader: []string{"X-A"}}, `rules[0].set_header[0]: "X-A" is not a field such as "X-Name: value"`},
		{"field name", "data", policy.Rule{AddHeader: []string{"X A: b"}}, `rules[0].add_header[0]: "X A" is not the name of a field`},
		{"Received", "data", policy.Rule{RemoveHeader: []string{"Re*"}}, `rules[0].remove_header[0]: the Received fields stay: by them loops are found`},
		{"all fields", "data", policy.Rule{RemoveHeader: []string{"*"}}, `rules[0].remove_header[0]: "*" is not the name of a field, or a pattern such as X-Internal-*`},
		{"priority", "mail", policy.Rule{Priority: &ten}, `rules[0].priority: 10 is not from -9 to 9`},
		{"TLS", "mail", policy.Rule{RequireTLS: "yes"}, `rules[0].require_tls: "yes" is not encrypt or verify`},
		{"route", "mail", policy.Rule{Route: "moon"}, `rules[0].route: there is no route "moon"`},
		{"star", "data", policy.Rule{RewriteSender: []policy.Rewrite{{Match: "a@b.example", To: "*@c.example"}}}, `rules[0].rewrite_sender[0]: the * in "*@c.example" stands for nothing in "a@b.example"`},
		{"rewrite to", "data", policy.Rule{RewriteSender: []policy.Rewrite{{Match: "@b.example", To: "c.example"}}}, `rules[0].rewrite_sender[0]: to "c.example": an address or @domain is needed`},
		{"rewrite in", "data", policy.Rule{RewriteSender: []policy.Rewrite{{Match: "@b.example", To: "@c.example", In: []string{"to"}}}}, `rules[0].rewrite_sender[0]: "to" is not one of envelope, from, sender`},
		{"keep replies", "data", policy.Rule{Hold: "x", KeepReplies: true}, `rules[0].keep_replies: goes with rewrite_sender`},
		{"limit", "mail", policy.Rule{Limit: &policy.Limit{}}, `rules[0].limit.rate: a rate such as 1000/1h is needed`},
		{"limit by", "mail", policy.Rule{Limit: &policy.Limit{Rate: relay.Rate{Count: 1, Per: time.Hour}, By: "size"}}, `rules[0].limit.by: 1:1: size is known only at data`},
		{"refuses and changes", "mail", policy.Rule{Reject: "550 5.7.1 no", Tag: []string{"x"}}, `rules[0]: changes mail that it does not let pass`},
		{"rate in a condition", "mail", policy.Rule{When: `rate(user, "many", "1h")`, Hold: "x"}, `rules[0].when: 1:12: rate wants a key, a number and a time, as in rate(user, 1000, "1h")`},
		{"no list", "mail", policy.Rule{When: `inFile(user, "/nonexistent")`, Hold: "x"}, `rules[0].when: 1:14: stat /nonexistent: no such file or directory`},
		{"PTR too", "connect", policy.Rule{When: `client.nam == ""`, Hold: "x"}, `rules[0].when: 1:8: client has no field nam`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.rule.Name, test.rule.At = "r", test.at
			_, err := policy.New(policy.Options{Hostname: "relay.example", Routes: []policy.Route{{Name: "all"}}, Rules: []policy.Rule{test.rule}})
			if got := fmt.Sprint(err); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	_, err := policy.New(policy.Options{
		Routes: []policy.Route{{Name: "all"}, {Name: "late", When: "true"}, {Name: "named"}, {Name: "fallback", Wanted: true}, {Name: "spare", When: "false"}},
		Rules: []policy.Rule{
			{Name: "a", At: "mail", Route: "named"}, {Name: "b", At: "mail", Dry: true, Reject: "550 5.7.1 no"},
			{Name: "c", At: "mail", Accept: true}, {Name: "d", At: "mail", Accept: true}, {Name: "e", At: "data", Accept: true},
		},
	})
	want := "rules[3]: is never reached: the rule \"c\" above ends the stage\nroutes[1]: is never reached: the route \"all\" above takes everything; a spare one has when: \"false\""
	if got := fmt.Sprint(err); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := policy.New(policy.Options{Routes: []policy.Route{{Name: "r", When: `rate("x", 1, "1h")`}}}); err == nil {
		t.Error("a route with a rate is not a fault")
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "list")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# partners\nAnn@dest.example\n@whole.example\n.below.example\n192.0.2.0/24\nuser1\n")
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	var faults []relay.Fault
	p := testPolicy(t, policy.Options{
		Now: func() time.Time { return now }, Fault: func(f relay.Fault) { faults = append(faults, f) },
		Rules: []policy.Rule{{Name: "r", At: "mail", When: fmt.Sprintf(`inFile(client.helo, %q)`, name), Reject: "550 5.7.1 listed"}},
	})
	listed := func(value string) bool {
		m := letter(t)
		m.Origin.Greeting = value
		return ruling(t, p, "mail", m).Reply != nil
	}
	for value, want := range map[string]bool{
		"ann@DEST.example": true, "bob@dest.example": false, "x@whole.example": true, "x@sub.whole.example": false,
		"a.below.example": true, "a.b.below.example": true, "below.example": false, ".below.example": true,
		"192.0.2.77": true, "198.51.100.1": false, "USER1": true, "": false, "# partners": false,
	} {
		if got := listed(value); got != want {
			t.Errorf("%q: got %t, want %t", value, got, want)
		}
	}
	write("user2 and another length\nuser2\n")
	if listed("user2") {
		t.Error("the file is looked at for each question")
	}
	now = now.Add(2 * time.Second)
	if !listed("user2") || listed("user1") {
		t.Error("the file has not been read again")
	}
	write("user3\nuser4\x00")
	now = now.Add(2 * time.Second)
	if !listed("user2") || listed("user3") || len(faults) != 1 {
		t.Errorf("a broken file: %v", faults)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		now = now.Add(2 * time.Second)
		if !listed("user2") {
			t.Error("a file that is gone emptied the list")
		}
	}
	if len(faults) != 2 {
		t.Errorf("faults are told %d times, want once for each: %v", len(faults), faults)
	}
}

// resolver has the names of one address.
type resolver struct {
	asked int
	names []string
	err   error
}

func (r *resolver) LookupAddr(context.Context, string) ([]string, error) {
	r.asked++
	return r.names, r.err
}

func (r *resolver) LookupHost(_ context.Context, name string) ([]string, error) {
	if name == "true.example." {
		return []string{"198.51.100.1", "192.0.2.7"}, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func TestClientName(t *testing.T) {
	t.Parallel()
	const failed = "451 4.3.0 Temporary local problem, try again later"
	for name, tt := range map[string]struct {
		r    *resolver
		want string
	}{
		"leads back":    {&resolver{names: []string{"false.example.", "true.example."}}, "550 5.7.1 no"},
		"does not":      {&resolver{names: []string{"false.example."}}, "yes"},
		"no name":       {&resolver{err: &net.DNSError{IsNotFound: true}}, "yes"},
		"DNS is silent": {&resolver{err: errors.New("timeout")}, failed},
	} {
		p := testPolicy(t, policy.Options{Resolver: tt.r, Rules: []policy.Rule{
			{Name: "other", At: "connect", When: `client.ip == "x" and client.name == "y"`, Accept: true},
			{Name: "r", At: "connect", When: `client.name == "true.example"`, Reject: "550 5.7.1 no"},
		}})
		for range 3 {
			if got := text(ruling(t, p, "connect", letter(t)).Reply); got != tt.want {
				t.Errorf("%s: got %s, want %s", name, got, tt.want)
			}
		}
		if tt.r.asked != 1 {
			t.Errorf("%s: asked %d times", name, tt.r.asked)
		}
	}
	// Nobody asks where no rule does.
	r := &resolver{}
	p := testPolicy(t, policy.Options{Resolver: r, Rules: []policy.Rule{{Name: "r", At: "connect", When: `client.ip == "x"`, Accept: true}}})
	if ruling(t, p, "connect", letter(t)); r.asked != 0 {
		t.Error("a name was looked up for nothing")
	}
}

func TestStaging(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		staging policy.Staging
		want    string
	}{
		"all to one": {policy.Staging{To: "qa@test.example"}, "to; qa@test.example rfc822;ann@dest.example 0; removed ann@dest.example: " +
			"Redirected to qa@test.example by staging; removed bob@dest.example: Redirected to qa@test.example by staging; X-Original-To|true||ann@dest.example, bob@dest.example"},
		"one allowed": {policy.Staging{To: "qa@test.example", Allow: []string{"bob@dest.example"}},
			"to; qa@test.example rfc822;ann@dest.example 0; bob@dest.example  0; removed ann@dest.example: Redirected to qa@test.example by staging; X-Original-To|true||ann@dest.example"},
		"all allowed": {policy.Staging{Allow: []string{"@dest.example"}}, "nothing"},
		"nowhere":     {policy.Staging{Allow: []string{"@test.example"}}, "to; removed ann@dest.example: Removed by staging; removed bob@dest.example: Removed by staging"},
	} {
		p := testPolicy(t, policy.Options{Staging: &tt.staging, Rules: []policy.Rule{{Name: "r", At: "data", Accept: true}}})
		if got := show(ruling(t, p, "data", letter(t)).Edits); got != tt.want {
			t.Errorf("%s: got\n%s, want\n%s", name, got, tt.want)
		}
	}
	// What was queued before, and notices, wait.
	p := testPolicy(t, policy.Options{Staging: &policy.Staging{To: "qa@test.example"}})
	for to, held := range map[string]string{"ann@dest.example": "staging", "QA@test.example": ""} {
		routing, reply := p.Route(letter(t), recipient(t, to))
		if reply != nil || routing.Held != held {
			t.Errorf("%s: held %q (%v), want %q", to, routing.Held, reply, held)
		}
	}
	for _, bad := range []policy.Staging{{}, {To: "qa"}, {Allow: []string{"dest.example"}}, {Allow: []string{"*@*"}}} {
		if _, err := policy.New(policy.Options{Routes: []policy.Route{{Name: "r"}}, Staging: &bad}); err == nil {
			t.Errorf("%+v is not a fault", bad)
		}
	}
}

// Routes know the tags that rules gave and what rules want, and may keep or throw away.
func TestRouteByRules(t *testing.T) {
	t.Parallel()
	p := testPolicy(t, policy.Options{Routes: []policy.Route{
		{Name: "bulk", When: `"bulk" in tags`}, {Name: "trash", When: `recipient.local == "trash"`, Discard: true},
		{Name: "look", When: `listener == "odd"`, Hold: true}, {Name: "internet", MX: true}, {Name: "named", Wanted: true},
	}})
	for name, tt := range map[string]struct {
		change func(*relay.Message, *relay.Recipient)
		want   relay.Routing
	}{
		"tag":      {func(m *relay.Message, _ *relay.Recipient) { m.Tags = []string{"bulk"} }, relay.Routing{To: relay.Destination{Route: "bulk"}}},
		"discard":  {func(_ *relay.Message, r *relay.Recipient) { r.Address.Local = "trash" }, relay.Routing{To: relay.Destination{Route: "trash"}, Discard: true}},
		"hold":     {func(m *relay.Message, _ *relay.Recipient) { m.Origin.Listener = "odd" }, relay.Routing{To: relay.Destination{Route: "look"}, Held: "route look"}},
		"named":    {func(_ *relay.Message, r *relay.Recipient) { r.Route = "named" }, relay.Routing{To: relay.Destination{Route: "named"}}},
		"gone":     {func(_ *relay.Message, r *relay.Recipient) { r.Route = "gone" }, relay.Routing{To: relay.Destination{Route: "internet", Domain: "dest.example"}}},
		"ordinary": {func(*relay.Message, *relay.Recipient) {}, relay.Routing{To: relay.Destination{Route: "internet", Domain: "dest.example"}}},
	} {
		m := letter(t)
		r := m.Envelope.Recipients[0]
		tt.change(m, &r)
		if got, reply := p.Route(m, r); got != tt.want || reply != nil {
			t.Errorf("%s: got %+v (%v), want %+v", name, got, reply, tt.want)
		}
	}
}

// What a route without hosts holds goes on by the next one when it is released.
func TestHeldOnItsWay(t *testing.T) {
	t.Parallel()
	p := testPolicy(t, policy.Options{Routes: []policy.Route{
		{Name: "look", When: `listener == "odd"`, Hold: true, Through: true}, {Name: "again", When: `listener == "odd"`, Hold: true, Through: true},
		{Name: "trash", When: `listener == "odd"`, Discard: true}, {Name: "corp", When: `recipient.local == "ann"`}, {Name: "last", When: `recipient.local == "bob"`, Hold: true, Through: true},
	}})
	for i, tt := range []struct{ listener, route, want string }{
		{"odd", "", "corp"}, {"odd", "look", "corp"}, {"odd", "again", "corp"}, {"l", "look", "corp"},
	} {
		m := letter(t)
		m.Origin.Listener = tt.listener
		r := m.Envelope.Recipients[0]
		r.Route = tt.route
		got, reply := p.Route(m, r)
		if reply != nil || got.To.Route != tt.want || got.Held == "" || got.Discard {
			t.Errorf("%d: got %+v (%v), want %s, held", i, got, reply, tt.want)
		}
	}
	m := letter(t)
	if got, reply := p.Route(m, m.Envelope.Recipients[1]); reply != nil || got.To.Route != "last" || got.Held != "route last" {
		t.Errorf("got %+v (%v)", got, reply)
	}
}

// The trace has a bound for rules that do not match, and none that would hide one that does.
func TestTraceIsBounded(t *testing.T) {
	t.Parallel()
	var rules []policy.Rule
	for i := range 80 {
		rules = append(rules, policy.Rule{Name: fmt.Sprint(i), At: "mail", When: fmt.Sprintf("listener == '%d'", i), Accept: true})
	}
	rules = append(rules, policy.Rule{Name: "yes", At: "mail", Tag: []string{"x"}})
	p := testPolicy(t, policy.Options{Rules: rules})
	trace := ruling(t, p, "mail", letter(t)).Trace
	if len(trace) != 51 || trace[50].Rule != "yes" {
		t.Errorf("%d verdicts, the last is %v", len(trace), trace[len(trace)-1])
	}
	if !slices.ContainsFunc(trace, func(v relay.Verdict) bool { return v.Rule == "49" && v.Said == "" }) {
		t.Error("rules that do not match are not in the trace")
	}
}
