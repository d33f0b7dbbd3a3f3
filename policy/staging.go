package policy

import (
	"errors"
	"fmt"
	"strings"

	"postrider/relay"
)

// Staging keeps the mail of a system that is being tried out away from the world.
type Staging struct {
	// To gets the mail of all recipients that are not allowed; "" throws it away.
	To string
	// Allow are patterns of the recipients who get their mail, such as *@test.example.
	Allow []string
}

// stagingField has the recipients that a message was for.
const stagingField = "X-Original-To"

type staging struct {
	to    relay.Address
	allow []string
}

func compileStaging(o *Staging) (*staging, error) {
	if o == nil {
		return nil, nil
	}
	s := &staging{}
	var faults faults
	if o.To == "" && len(o.Allow) == 0 {
		faults.add(errors.New("needs to, allow or both"), "staging")
	}
	var err error
	if s.to, err = relay.ParseAddress(o.To); err != nil || o.To != "" && s.to.Domain == "" {
		faults.add(fmt.Errorf("%q is not an address with a domain", o.To), "staging.to")
	}
	for i, pattern := range o.Allow {
		if strings.HasPrefix(pattern, "@") {
			pattern = "*" + pattern
		}
		if !strings.Contains(pattern, "@") || strings.Trim(pattern, "*@?.") == "" {
			faults.add(fmt.Errorf("%q is not an address, @domain, or a pattern such as *@test.example", pattern), "staging.allow[%d]", i)
		}
		s.allow = append(s.allow, pattern)
	}
	return s, errors.Join(faults...)
}

// allows says that mail for the address may go.
func (s *staging) allows(a relay.Address) bool {
	return !s.to.IsNull() && strings.EqualFold(folded(a.String()), folded(s.to.String())) || globAny(s.allow, senderAddress(a).Address)
}

// divert has the mail of those who are not allowed go elsewhere, after all that the rules have
// said.
func (s *staging) divert(m *relay.Message, ruling *relay.Ruling) {
	list := m.Envelope.Recipients
	if ruling.Edits != nil && ruling.Edits.Recipients != nil {
		list = ruling.Edits.Recipients
	}
	kept := make([]relay.Recipient, 0, len(list))
	var others []string
	for _, r := range list {
		if s.allows(r.Address) {
			kept = append(kept, r)
			continue
		}
		others = append(others, r.Address.String())
		if s.to.IsNull() {
			depart(edits(ruling), r, relay.Removed("staging"))
			continue
		}
		diverted := instead(r, s.to)
		depart(edits(ruling), r, relay.Redirected([]relay.Recipient{diverted}, "staging"))
		if len(others) == 1 {
			kept = append(kept, diverted)
		}
	}
	if len(others) == 0 {
		return
	}
	e := edits(ruling)
	e.Recipients = kept
	said := "discard " + strings.Join(others, ", ")
	if !s.to.IsNull() {
		said = fmt.Sprintf("%s to %s", strings.Join(others, ", "), s.to)
		e.Header = append(e.Header, relay.HeaderEdit{Name: stagingField, Remove: true, Value: strings.Join(others, ", ")})
	}
	ruling.Trace = append(ruling.Trace, relay.Verdict{Rule: "staging", Stage: data.String(), Said: said})
}

// edits gives the ruling edits to add to.
func edits(ruling *relay.Ruling) *relay.Edits {
	if ruling.Edits == nil {
		ruling.Edits = &relay.Edits{}
	}
	return ruling.Edits
}
