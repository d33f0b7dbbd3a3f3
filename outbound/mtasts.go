package outbound

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"postrider/outbound/tlsrpt"
)

// stsPolicy is what a domain says of its mail exchanges (RFC 8461 section 3.2).
type stsPolicy struct {
	// Domain is whose policy it is; "" in files of before.
	Domain string `json:"domain,omitempty"`
	// ID is that of the DNS record when the policy was fetched.
	ID   string  `json:"id"`
	Mode stsMode `json:"mode"`
	// MX are patterns of hosts: a name, or "*." and a name for one label more.
	MX []string `json:"mx"`
	// Fetched is when the policy was last seen to stand, Expires when it ends.
	Fetched time.Time `json:"fetched"`
	Expires time.Time `json:"expires"`
}

type stsMode string

// The modes of a policy.
const (
	stsEnforce stsMode = "enforce"
	stsTesting stsMode = "testing"
	stsNone    stsMode = "none"
)

const (
	// stsMaxAge is the longest life of a policy (RFC 8461 section 3.2).
	stsMaxAge = 31557600 * time.Second
	// stsMaxMX bounds the patterns of a policy.
	stsMaxMX = 100
)

// allows says whether the policy vouches for a host (RFC 8461 section 4.1).
func (p *stsPolicy) allows(host string) bool {
	for _, pattern := range p.MX {
		if parent, ok := strings.CutPrefix(pattern, "*."); ok {
			if label, rest, found := strings.Cut(host, "."); found && label != "" && strings.EqualFold(rest, parent) {
				return true
			}
		} else if strings.EqualFold(host, pattern) {
			return true
		}
	}
	return false
}

// reported gives the policy as reports show it.
func (p *stsPolicy) reported(domain string) tlsrpt.Policy {
	lines := []string{"version: STSv1", "mode: " + string(p.Mode)}
	for _, mx := range p.MX {
		lines = append(lines, "mx: "+mx)
	}
	lines = append(lines, fmt.Sprintf("max_age: %d", int64(p.Expires.Sub(p.Fetched)/time.Second)))
	return tlsrpt.Policy{Type: tlsrpt.STS, Domain: domain, Strings: lines, Hosts: p.MX}
}

// parsePolicy reads a policy file. What it does not know it passes over, as it must.
func parsePolicy(text string, now time.Time) (stsPolicy, error) {
	var p stsPolicy
	values := make(map[string]string)
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok {
			continue
		}
		if key == "mx" && len(p.MX) < stsMaxMX {
			p.MX = append(p.MX, strings.TrimSuffix(strings.ToLower(value), "."))
			continue
		}
		// Of a key that stands twice the first counts.
		if _, seen := values[key]; !seen {
			values[key] = value
		}
	}
	seconds, err := strconv.ParseUint(values["max_age"], 10, 32)
	p.Mode = stsMode(values["mode"])
	switch {
	case values["version"] != "STSv1":
		return p, fmt.Errorf("%w: no version STSv1", errSTS)
	case p.Mode != stsEnforce && p.Mode != stsTesting && p.Mode != stsNone:
		return p, fmt.Errorf("%w: no mode", errSTS)
	case err != nil:
		return p, fmt.Errorf("%w: no max_age", errSTS)
	case len(p.MX) == 0 && p.Mode != stsNone:
		return p, fmt.Errorf("%w: no mx", errSTS)
	}
	p.Fetched, p.Expires = now, now.Add(min(time.Duration(seconds)*time.Second, stsMaxAge))
	return p, nil
}

// parseSTSRecord reads the id of the TXT records at _mta-sts of a domain. There must be one record
// alone that says "v=STSv1" (RFC 8461 section 3.1).
func parseSTSRecord(txts []string) (id string, ok bool) {
	found := 0
	for _, txt := range txts {
		fields := strings.Split(txt, ";")
		if strings.TrimSpace(fields[0]) != "v=STSv1" {
			continue
		}
		found++
		for _, field := range fields[1:] {
			if value, is := strings.CutPrefix(strings.TrimSpace(field), "id="); is {
				id = value
			}
		}
	}
	return id, found == 1 && regexp.MustCompile(`^[0-9A-Za-z]{1,32}$`).MatchString(id)
}
