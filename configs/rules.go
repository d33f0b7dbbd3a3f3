package configs

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"postrider/policy"
	"postrider/relay"
)

// rule is a condition and what follows from it.
type rule struct {
	Name             string        `yaml:"name"`
	At               string        `yaml:"at"`
	When             string        `yaml:"when"`
	Dry              bool          `yaml:"dry"`
	Accept           bool          `yaml:"accept"`
	Reject           string        `yaml:"reject"`
	Defer            string        `yaml:"defer"`
	Discard          bool          `yaml:"discard"`
	Hold             string        `yaml:"hold"`
	Limit            *ruleLimit    `yaml:"limit"`
	Redirect         []string      `yaml:"redirect"`
	AddRecipient     []string      `yaml:"add_recipient"`
	BCC              []string      `yaml:"bcc"`
	RemoveRecipient  []string      `yaml:"remove_recipient"`
	ReplaceRecipient []replacement `yaml:"replace_recipient"`
	AddHeader        []string      `yaml:"add_header"`
	SetHeader        []string      `yaml:"set_header"`
	RemoveHeader     []string      `yaml:"remove_header"`
	RewriteSender    []rewriting   `yaml:"rewrite_sender"`
	KeepReplies      bool          `yaml:"keep_replies"`
	Tag              []string      `yaml:"tag"`
	Priority         *int          `yaml:"priority"`
	Flow             string        `yaml:"flow"`
	Route            string        `yaml:"route"`
	RequireTLS       string        `yaml:"require_tls"`
	SignWith         []string      `yaml:"sign_with"`
}

type ruleLimit struct {
	Rate relay.Rate `yaml:"rate"`
	By   string     `yaml:"by"`
}

type replacement struct {
	Match string `yaml:"match"`
	To    string `yaml:"to"`
}

type rewriting struct {
	Match string   `yaml:"match"`
	To    string   `yaml:"to"`
	In    []string `yaml:"in"`
}

// staging keeps mail away from the world.
type staging struct {
	To    string   `yaml:"to"`
	Allow []string `yaml:"allow"`
}

func (r *rule) compose() policy.Rule {
	p := policy.Rule{
		Name: r.Name, At: r.At, When: r.When, Dry: r.Dry,
		Accept: r.Accept, Reject: r.Reject, Defer: r.Defer, Discard: r.Discard, Hold: r.Hold,
		Redirect: r.Redirect, AddRecipients: r.AddRecipient, BCC: r.BCC, RemoveRecipients: r.RemoveRecipient,
		AddHeader: r.AddHeader, SetHeader: r.SetHeader, RemoveHeader: r.RemoveHeader, KeepReplies: r.KeepReplies,
		Tag: r.Tag, Priority: r.Priority, Flow: r.Flow, Route: r.Route, RequireTLS: r.RequireTLS, SignWith: r.SignWith,
	}
	if r.Limit != nil {
		p.Limit = &policy.Limit{Rate: r.Limit.Rate, By: r.Limit.By}
	}
	for _, w := range r.ReplaceRecipient {
		p.ReplaceRecipients = append(p.ReplaceRecipients, policy.Rewrite{Match: w.Match, To: w.To})
	}
	for _, w := range r.RewriteSender {
		p.RewriteSender = append(p.RewriteSender, policy.Rewrite(w))
	}
	return p
}

// composeRules gives the policy its part. The folder is the one that lists are relative to.
func (f *file) composeRules(c *Config, dir string) {
	if f.conditions() {
		c.Policy.Dir = dir
	}
	for i := range f.Rules {
		c.Policy.Rules = append(c.Policy.Rules, f.Rules[i].compose())
	}
	if f.Staging != nil {
		c.Policy.Staging = &policy.Staging{To: f.Staging.To, Allow: f.Staging.Allow}
	}
	if len(f.DNS.Servers) > 0 {
		c.Policy.Resolver = resolverOf(f.DNS.Servers[0])
	}
}

// conditions says that there are any.
func (f *file) conditions() bool {
	return len(f.Rules) > 0 || slices.ContainsFunc(f.Routes, func(r route) bool { return r.When != "" })
}

// resolverOf asks one server for the names of clients.
func resolverOf(server string) *net.Resolver {
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
}

// wanted are the routes that more than their condition leads to.
func (f *file) wanted() map[string]bool {
	names := make(map[string]bool)
	for _, r := range f.Routes {
		for _, name := range r.Fallback {
			names[name] = true
		}
	}
	return names
}

// checkEnds looks at routes whose mail goes nowhere.
func (r *route) checkEnds(rep *report, path string) {
	switch {
	case r.Discard && (r.Hold || r.delivers()):
		rep.fault(path+".discard", "throws the mail away: a route that does has no hosts, no mx and no hold")
	case r.MX && r.LMTP:
		rep.fault(path+".lmtp", "is for hosts, not for mx")
	case r.LMTP && !r.delivers():
		rep.fault(path+".lmtp", "needs hosts")
	}
	r.checkSockets(rep, path)
}

// delivers says that the route leads somewhere.
func (r *route) delivers() bool { return r.MX || len(r.Hosts)+len(r.Providers) > 0 }

// expression gives the text in which policy found a fault.
func (c *Config) expression(path string) string {
	for i, route := range c.Policy.Routes {
		if path == fmt.Sprintf("routes[%d].when", i) {
			return route.When
		}
	}
	for i, rule := range c.Policy.Rules {
		switch {
		case path == fmt.Sprintf("rules[%d].when", i):
			return rule.When
		case path == fmt.Sprintf("rules[%d].limit.by", i) && rule.Limit != nil:
			return rule.Limit.By
		}
	}
	return ""
}
