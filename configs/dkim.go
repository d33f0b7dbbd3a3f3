package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
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

// checkKeys has the keys read. Those to come, which a rule names or which have a file's name, need
// not be there yet.
func (c *Config) checkKeys(r *report, toCome bool) {
	keys, err := dkim.New(c.DKIM)
	if err == nil && !toCome {
		c.checkSigning(keys, r)
	}
	for _, err := range flatten(err) {
		var fault *dkim.KeyError
		switch missing := errors.Is(err, fs.ErrNotExist); {
		case missing && toCome:
		case !errors.As(err, &fault):
			r.fault("dkim", "%s", err)
		case missing && fault.Field == "key":
			k := c.DKIM.Keys[fault.Index]
			r.fault(fmt.Sprintf("dkim[%d].key", fault.Index), "%s: to make it, postrider dkim keygen %s --selector %s --out %s", fault.Err, k.Domain, k.Selector, k.Path)
		default:
			r.fault(fmt.Sprintf("dkim[%d].%s", fault.Index, fault.Field), "%s", fault.Err)
		}
	}
}

// checkSigning finds rules that name keys which are not there: mail would go out unsigned.
func (c *Config) checkSigning(keys *dkim.Signer, r *report) {
	for i, rule := range c.Policy.Rules {
		for k, name := range rule.SignWith {
			if !keys.Has(name) {
				r.fault(fmt.Sprintf("rules[%d].sign_with[%d]", i, k),
					"there is no DKIM key %q: want a domain, SELECTOR._domainkey.DOMAIN or none%s", name, c.keygen(name, r.file))
			}
		}
	}
}

// keygen is the command that makes a key of that name, if it can be one.
func (c *Config) keygen(name, file string) string {
	selector, domain, ok := strings.Cut(strings.ToLower(name), "._domainkey.")
	if !ok {
		selector, domain = "", selector
	}
	if !dkim.IsName(domain) || !strings.Contains(domain, ".") {
		return ""
	}
	if selector != "" {
		selector = " --selector " + selector
	}
	if !slices.ContainsFunc(c.DKIM.Keys, func(k dkim.Key) bool { return k.Directory != "" }) {
		return "; where dkim has a directory, postrider dkim keygen makes keys"
	}
	return fmt.Sprintf("; to make it, postrider dkim keygen %s%s --config %s", domain, selector, file)
}
