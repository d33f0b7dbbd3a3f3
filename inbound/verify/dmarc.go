package verify

import (
	"context"
	"errors"
	"strings"

	"github.com/emersion/go-msgauth/dmarc"
	"golang.org/x/net/publicsuffix"

	"postrider/relay"
)

// dmarcResult is what the policy of the From field's domain comes to.
type dmarcResult struct {
	result string
	// from is the domain of the From field, "" where there is not exactly one.
	from string
	// policy is what its owner asks for: none, quarantine or reject.
	policy string
}

// checkDMARC needs what SPF and DKIM have found.
func checkDMARC(ctx context.Context, dns *lookups, m *relay.Message, found *results) dmarcResult {
	r := dmarcResult{result: permerror, from: author(m)}
	if r.from == "" {
		return r
	}
	record, below, err := lookupPolicy(ctx, dns, r.from)
	switch {
	case errors.Is(err, dmarc.ErrNoPolicy):
		r.result = none
		return r
	case dmarc.IsTempFail(err):
		r.result = temperror
		return r
	case err != nil:
		return r
	}
	r.policy = string(record.Policy)
	if below && record.SubdomainPolicy != "" {
		r.policy = string(record.SubdomainPolicy)
	}
	r.result = found.align(record, r.from)
	return r
}

// author gives the domain of the one author. Several leave it to nobody (RFC 7489 section
// 6.6.1).
func author(m *relay.Message) string {
	values := m.Fields("From")
	if len(values) != 1 {
		return ""
	}
	list, err := relay.Mailboxes(values[0])
	if err != nil || len(list) != 1 {
		return ""
	}
	domain := list[0][strings.LastIndexByte(list[0], '@')+1:]
	return lookedUp(strings.ToValidUTF8(domain, "?"))
}

// lookupPolicy asks the domain, then the one that its organisation has registered. Below says
// that it is that one's.
func lookupPolicy(ctx context.Context, dns *lookups, domain string) (record *dmarc.Record, below bool, err error) {
	o := &dmarc.LookupOptions{LookupTXT: func(name string) ([]string, error) { return dns.LookupTXT(ctx, name) }}
	record, err = dmarc.LookupWithOptions(domain, o)
	if top := organisation(domain); errors.Is(err, dmarc.ErrNoPolicy) && top != domain {
		record, err = dmarc.LookupWithOptions(top, o)
		return record, true, err
	}
	return record, false, err
}

// organisation gives the registered domain above a name, or the name itself.
func organisation(domain string) string {
	top, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return top
}

// align says whether something that passed speaks for the From field (RFC 7489 section 3.1).
func (r *results) align(record *dmarc.Record, from string) string {
	aligned := func(domain string, mode dmarc.AlignmentMode) bool {
		return domain == from || mode != dmarc.AlignmentStrict && organisation(domain) == organisation(from)
	}
	unsure := r.spf.result == temperror && aligned(r.spf.domain, record.SPFAlignment)
	if r.spf.result == pass && aligned(r.spf.domain, record.SPFAlignment) {
		return pass
	}
	for _, s := range r.signatures {
		switch {
		case !aligned(s.domain, record.DKIMAlignment):
		case s.result == pass:
			return pass
		case s.result == temperror:
			unsure = true
		}
	}
	if unsure {
		return temperror
	}
	return fail
}
