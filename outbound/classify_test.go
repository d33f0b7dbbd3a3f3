package outbound_test

import (
	"strings"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

func newClassifier(t testing.TB, own ...outbound.ReplyRule) *outbound.Classifier {
	t.Helper()
	c, err := outbound.NewClassifier(own)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parseReply(t testing.TB, text string) relay.Reply {
	t.Helper()
	r, err := outbound.ParseReply(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each rule is reached by the reply that it is for: none stands in the shade of another.
func TestReplyRules(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	seen := make(map[string]bool)
	classes := make(map[relay.Class]bool)
	for _, rule := range outbound.ReplyRules() {
		if rule.Name == "" || rule.Sample == "" || seen[rule.Name] {
			t.Errorf("rule %q has no name of its own, or no sample", rule.Name)
		}
		seen[rule.Name], classes[rule.Class] = true, true
		if got, _ := c.Classify(parseReply(t, rule.Sample)); got.Name != rule.Name {
			t.Errorf("%s: rule %q decides, want %q", rule.Sample, got.Name, rule.Name)
		}
	}
	if len(classes) != len(relay.ClassWords()) {
		t.Errorf("%d classes have rules, want all %d", len(classes), len(relay.ClassWords()))
	}
}

// Replies as they were seen, and what they are about.
func TestClassify(t *testing.T) {
	t.Parallel()
	c := newClassifier(t)
	for text, want := range map[string]relay.Class{
		"550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n550-5.1.1 double-checking the recipient's email address\r\n550 5.1.1 https://support.google.com/mail/?p=NoSuchUser - gsmtp": relay.ClassUser,
		"smtp; 550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient b@example.com not found by SMTP address lookup":                                                                                                    relay.ClassUser,
		"550 5.1.1 <b@example.com>: Recipient address rejected: User unknown in local recipient table":                                                                                                                 relay.ClassUser,
		"550 5.2.1 The email account that you tried to reach is inactive.":                                                                                                                                             relay.ClassUser,
		"552 5.2.2 The email account that you tried to reach is over quota":                                                                                                                                            relay.ClassQuota,
		"452-4.2.2 The recipient's inbox is out of storage space":                                                                                                                                                      relay.ClassNone, // not a whole reply
		"452 4.2.2 The recipient's inbox is out of storage space":                                                                                                                                                      relay.ClassQuota,
		"451 4.7.1 Greylisting in action, please come back later":                                                                                                                                                      relay.ClassGreylisting,
		"450 4.7.1 <b@example.com>: Recipient address rejected: Policyd: Greylisting in effect, please come back in 300 seconds":                                                                                       relay.ClassGreylisting,
		"421 4.7.28 Gmail has detected an unusual rate of mail originating from your IP address 192.0.2.1":                                                                                                             relay.ClassRate,
		"450 4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.":                                                                                                                            relay.ClassRate,
		"454 Throttling failure: Daily message quota exceeded.":                                                                                                                                                        relay.ClassRate,
		"421 4.4.5 Too many connections from your host":                                                                                                                                                                relay.ClassRate,
		"554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message":                                                                                                          relay.ClassRate,
		"452 4.5.3 Too many recipients": relay.ClassHost,
		"550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).": relay.ClassPolicy,
		"550 5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.":                         relay.ClassPolicy,
		"550 5.7.60 SMTP; Client does not have permissions to send as this sender":                                                                                                 relay.ClassPolicy,
		"550 5.7.64 TenantAttribution; Relay Access Denied":                                                                                                                        relay.ClassPolicy,
		"552 5.7.0 This message was blocked because its content presents a potential security issue.":                                                                              relay.ClassContent,
		"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.":                                                                            relay.ClassAuth,
		"530 5.7.0 Authentication Required. For more information, go to https://support.google.com/accounts/troubleshooter/2402620.":                                               relay.ClassAuth,
		"451 4.3.0 Mail server temporarily rejected message. - gsmtp":                                                                                                              relay.ClassHost,
		"421 4.3.2 Service shutting down":                     relay.ClassHost,
		"451 4.3.0 <b@example.com>: Temporary lookup failure": relay.ClassHost,
		"550 what":   relay.ClassNone,
		"250 2.0.0 ": relay.ClassNone,
	} {
		r, err := outbound.ParseReply(text)
		if err != nil {
			if want != relay.ClassNone {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if rule, _ := c.Classify(r); rule.Class != want {
			t.Errorf("%s: class %q by rule %q, want %q", text, rule.Class, rule.Name, want)
		}
	}
}

// Rules of the operator come first, and are checked.
func TestOwnRules(t *testing.T) {
	t.Parallel()
	own := outbound.ReplyRule{Name: "theirs", Code: "55", Enhanced: "x.7.1", Match: `come on \w+`, Class: relay.ClassGreylisting, Sample: "550 5.7.1 Come on Tuesday"}
	rule, ok := newClassifier(t, own).Classify(parseReply(t, "554 5.7.1 COME ON FRIDAY, spamhaus"))
	if !ok || rule.Name != "theirs" {
		t.Errorf("rule %q decides", rule.Name)
	}
	for name, edit := range map[string]func(*outbound.ReplyRule){
		"nothing to match":   func(r *outbound.ReplyRule) { r.Code, r.Enhanced, r.Match = "", "", "" },
		"code":               func(r *outbound.ReplyRule) { r.Code = "250" },
		"long code":          func(r *outbound.ReplyRule) { r.Code = "5500" },
		"enhanced":           func(r *outbound.ReplyRule) { r.Enhanced = "5.7" },
		"enhanced word":      func(r *outbound.ReplyRule) { r.Enhanced = "5.7.y" },
		"expression":         func(r *outbound.ReplyRule) { r.Match = "(" },
		"no class":           func(r *outbound.ReplyRule) { r.Class = relay.ClassNone },
		"sample of another":  func(r *outbound.ReplyRule) { r.Sample = "550 5.7.1 go away" },
		"sample not a reply": func(r *outbound.ReplyRule) { r.Sample = "go away" },
	} {
		bad := own
		edit(&bad)
		if _, err := outbound.NewClassifier([]outbound.ReplyRule{bad}); err == nil || bad.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Each reply of a session carries its class to the scheduler, and those about our pace or our
// credentials speak against the site.
func TestRepliesAreClassed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		phase, reply string
		want         relay.Class
		setback      bool
	}{
		{"RCPT", "450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/", relay.ClassGreylisting, false},
		{"RCPT", "550 5.1.1 User unknown", relay.ClassUser, false},
		{"MAIL", "550 5.4.5 Daily user sending limit exceeded", relay.ClassRate, true},
		{"MAIL", "530 5.7.57 Client not authenticated to send mail", relay.ClassAuth, true},
		{"DATA", "554 5.7.1 Message contains a virus", relay.ClassContent, false},
		{"dot", "452 4.2.2 over quota", relay.ClassQuota, false},
		{"dot", "250 2.0.0 spamhaus", relay.ClassNone, false},
	} {
		p := outboundtest.NewPeer(t, answers(tt.phase, tt.reply))
		a := deliver(t, dial(t, smart(t, nil, p)), transfer("x\r\n", "a@to.test"))
		if a.Replies[0].Class != tt.want || a.Setback != tt.setback {
			t.Errorf("%s: class %q, setback %v", tt.reply, a.Replies[0].Class, a.Setback)
		}
	}
	p := outboundtest.NewPeer(t, answers("greeting", "421 4.4.5 Too many connections from your host"))
	if r := dialFault(t, smart(t, nil, p)); r.Class != relay.ClassRate {
		t.Errorf("greeting: %s of class %q", r, r.Class)
	}
	own := []outbound.ReplyRule{{Name: "odd", Match: "odd", Class: relay.ClassPolicy}}
	p = outboundtest.NewPeer(t, answers("RCPT", "550 odd"))
	a := deliver(t, dial(t, smart(t, func(o *outbound.Options) { o.Replies = own }, p)), transfer("x\r\n", "a@to.test"))
	if a.Replies[0].Class != relay.ClassPolicy {
		t.Errorf("a rule of the operator: class %q", a.Replies[0].Class)
	}
}

// A stranger's host that wants credentials can be given none: to wait would be of no use.
func TestCredentialsOfStrangers(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, answers("MAIL", "530 5.7.0 Authentication required"))
	d := outboundtest.NewDNS(t, "to.test. 60 IN MX 10 mx.to.test.", "mx.to.test. 60 IN A 127.0.0.1")
	tr := internet(t, d, func(o *outbound.Options) { o.MXPort = p.Port() })
	c, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: routeMX, Domain: "to.test"}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if a := deliver(t, c, transfer("x\r\n", "a@to.test")); a.Replies[0].Class != relay.ClassPolicy || a.Setback {
		t.Errorf("class %q, setback %v", a.Replies[0].Class, a.Setback)
	}
}

func FuzzParseReply(f *testing.F) {
	for _, rule := range outbound.ReplyRules() {
		f.Add(rule.Sample)
	}
	f.Add("550-a\r\n550 b")
	c := newClassifier(f)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := outbound.ParseReply(text)
		if err != nil {
			return
		}
		if r.Code < 200 || r.Code > 599 || strings.ContainsAny(r.Text, "\r\n") {
			t.Errorf("%q is read as %q", text, r)
		}
		if rule, ok := c.Classify(r); ok && (rule.Class == relay.ClassNone || r.Code < 400) {
			t.Errorf("%q: rule %q", text, rule.Name)
		}
	})
}
