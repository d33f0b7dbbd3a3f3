package policy_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"postrider/policy"
	"postrider/relay"
)

// A domain is the same in both of its forms, however a rule compares it: as it is written and as it is
// looked up (RFC 5890 section 2.3.2.1).
func TestBothForms(t *testing.T) {
	t.Parallel()
	const wide, ascii = "müller.example", "xn--mller-kva.example"
	dir := t.TempDir()
	for name, entry := range map[string]string{"domain": "%s\n", "address": "u@%s\n", "everybody": "@%s\n", "below": ".%s\n"} {
		for form, domain := range map[string]string{"wide": wide, "ascii": ascii} {
			if err := os.WriteFile(filepath.Join(dir, name+"-"+form), fmt.Appendf(nil, entry, domain), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, when := range []string{
		`recipient.domain == "%s"`, `"%s" == recipient.domain`, `not (recipient.domain != "%s")`, `recipient.domain in ["other.example", "%s"]`,
		`recipient.address == "u@%s"`, `lower(recipient.domain) == "%s"`, `recipient.address endsWith "@%s"`, `recipient.domain startsWith "%s"`,
		`recipient.domain contains "%s"`, `domainIn(recipient.domain, "other.example", "%s")`, `domainIn("sub." + recipient.domain, ".%s")`,
		`glob("*@%s", recipient.address)`, `glob("?@%s", recipient.address)`, `glob("*@*.%s", "u@sub." + recipient.domain)`,
		`sender.domain == recipient.domain or recipient.domain == "%s"`, `(user == "" ? recipient : sender).domain == "%s"`,
	} {
		for form, written := range map[string]string{"wide": wide, "ascii": ascii} {
			wantRule(t, dir, fmt.Sprintf(when, written), form)
		}
	}
	for _, form := range []string{"wide", "ascii"} {
		wantRule(t, dir, `inFile(recipient.domain, "domain-`+form+`")`, form)
		wantRule(t, dir, `inFile(recipient.address, "address-`+form+`")`, form)
		wantRule(t, dir, `inFile(recipient.address, "everybody-`+form+`")`, form)
		wantRule(t, dir, `inFile("sub." + recipient.domain, "below-`+form+`")`, form)
	}
}

// wantRule wants a condition to hold for a recipient in both forms, and not for another one.
func wantRule(t *testing.T, dir, when, form string) {
	t.Helper()
	p, err := policy.New(policy.Options{
		Hostname: "relay.test", Relay: map[string][]netip.Prefix{"l": {netip.MustParsePrefix("0.0.0.0/0")}}, Dir: dir,
		Routes: []policy.Route{{Name: "internet", MX: true}},
		Rules:  []policy.Rule{{Name: "no", At: "rcpt", When: when, Reject: "550 5.7.1 no"}},
	})
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	o := &relay.Origin{Listener: "l", Client: netip.MustParseAddr("192.0.2.1")}
	for domain, want := range map[string]bool{
		"müller.example": true, "xn--mller-kva.example": true, "ＭÜller。example": true, "muller.example": false, "xn--mller.example": false,
	} {
		m := &relay.Message{Origin: *o}
		m.Envelope.Sender = relay.Address{Local: "s", Domain: "sender.example"}
		reply := p.Rcpt(t.Context(), m, relay.Recipient{Address: relay.Address{Local: "u", Domain: domain}}).Reply
		if matched := reply != nil && reply.Code == 550; matched != want || reply != nil && !matched {
			t.Errorf("%s, written %s, with %s: got %v, want %t", when, form, domain, reply, want)
		}
	}
}

// Recipients and senders are changed in both forms; what a * stands for stays as it came.
func TestBothFormsRewritten(t *testing.T) {
	t.Parallel()
	forms := []string{"müller.example", "xn--mller-kva.example"}
	for _, written := range forms {
		for _, came := range forms {
			p, err := policy.New(policy.Options{
				Hostname: "relay.test", Relay: map[string][]netip.Prefix{"l": {netip.MustParsePrefix("0.0.0.0/0")}},
				Routes: []policy.Route{{Name: "internet", MX: true}},
				Rules: []policy.Rule{{
					Name: "r", At: "data", RemoveRecipients: []string{"gone@" + written},
					ReplaceRecipients: []policy.Rewrite{{Match: "*@" + written, To: "*@new.example"}},
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			m := &relay.Message{Origin: relay.Origin{Listener: "l", Client: netip.MustParseAddr("192.0.2.1")}, Header: []byte("Subject: x\r\n\r\n")}
			for _, local := range []string{"gone", "u"} {
				m.Envelope.Recipients = append(m.Envelope.Recipients, relay.Recipient{Address: relay.Address{Local: local, Domain: came}})
			}
			e := p.Data(t.Context(), m).Edits
			if e == nil || len(e.Recipients) != 1 || e.Recipients[0].Address.String() != "u@new.example" {
				t.Errorf("written %s, came %s: got %+v", written, came, e)
			}
			// On its way it is what it was: one form is not turned into the other.
			to := relay.Recipient{Address: relay.Address{Local: "u", Domain: came}}
			if routing, reply := p.Route(m, to); reply != nil || routing.To.Domain != came {
				t.Errorf("%s goes to %v, %v", came, routing.To, reply)
			}
		}
	}
}
