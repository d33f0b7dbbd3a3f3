package configs

import (
	"fmt"
	"time"

	"postrider/dkim"
)

// key is a key that signs, or with directory many.
type key struct {
	Domain           string   `yaml:"domain"`
	Selector         string   `yaml:"selector"`
	Key              path     `yaml:"key"`
	Directory        path     `yaml:"directory"`
	Subdomains       *bool    `yaml:"subdomains"`
	Match            []string `yaml:"match"`
	Users            []string `yaml:"users"`
	Headers          []string `yaml:"headers"`
	Identity         string   `yaml:"identity"`
	Expires          duration `yaml:"expires"`
	Canonicalization string   `yaml:"canonicalization"`
}

func (f *file) composeDKIM(c *Config) {
	for _, k := range f.DKIM {
		c.DKIM.Keys = append(c.DKIM.Keys, dkim.Key{
			Domain: k.Domain, Selector: k.Selector, Path: string(k.Key), Directory: string(k.Directory),
			Exact: k.Subdomains != nil && !*k.Subdomains, Match: k.Match, Users: k.Users, Headers: k.Headers,
			Identity: k.Identity, Expires: time.Duration(k.Expires), Canonicalization: k.Canonicalization,
		})
	}
}

// checkSigning finds rules that name keys which are not there: mail would go out unsigned.
func (c *Config) checkSigning(keys *dkim.Signer, r *report) {
	for i, rule := range c.Policy.Rules {
		for k, name := range rule.SignWith {
			if !keys.Has(name) {
				r.fault(fmt.Sprintf("rules[%d].sign_with[%d]", i, k), "there is no DKIM key %q: want a domain, SELECTOR._domainkey.DOMAIN or none", name)
			}
		}
	}
}
