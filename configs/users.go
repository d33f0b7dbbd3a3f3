package configs

import (
	"fmt"
	"os"
	"strings"
	"time"

	inboundauth "postrider/inbound/auth"
)

// users is who may authenticate, and how that is found out.
type users struct {
	File       path     `yaml:"file"`
	LDAP       ldap     `yaml:"ldap"`
	HTTP       callout  `yaml:"http"`
	Mechanisms []string `yaml:"mechanisms"`
	FromHeader bool     `yaml:"from_header"`
	Cache      duration `yaml:"cache"`
}

type ldap struct {
	URLs         []string `yaml:"urls"`
	StartTLS     bool     `yaml:"starttls"`
	CA           path     `yaml:"ca"`
	Plain        bool     `yaml:"plain"`
	UserDN       string   `yaml:"user_dn"`
	BindDN       string   `yaml:"bind_dn"`
	BindPassword string   `yaml:"bind_password"`
	Base         string   `yaml:"base"`
	Filter       string   `yaml:"filter"`
	Senders      string   `yaml:"senders"`
	Timeout      duration `yaml:"timeout"`
	Connections  int      `yaml:"connections"`
}

type callout struct {
	URL         string   `yaml:"url"`
	Token       string   `yaml:"token"`
	CA          path     `yaml:"ca"`
	Plain       bool     `yaml:"plain"`
	Timeout     duration `yaml:"timeout"`
	Connections int      `yaml:"connections"`
}

func defaultUsers() users {
	return users{
		LDAP:  ldap{Timeout: duration(inboundauth.DefaultTimeout), Connections: inboundauth.DefaultLDAPConnections},
		HTTP:  callout{Timeout: duration(inboundauth.DefaultTimeout), Connections: inboundauth.DefaultHTTPConnections},
		Cache: duration(inboundauth.DefaultCacheTTL),
	}
}

// compose gives inbound the users, and how many attempts may fail.
func (u *users) compose(failures rate) inboundauth.Options {
	o := inboundauth.Options{
		File: string(u.File), FromHeader: u.FromHeader, CacheTTL: time.Duration(u.Cache), Failures: inboundauth.Rate(failures),
	}
	if o.CacheTTL == 0 {
		o.CacheTTL = -1 // none, where inbound takes 0 for its default
	}
	for _, m := range u.Mechanisms {
		o.Mechanisms = append(o.Mechanisms, strings.ToUpper(m))
	}
	if u.usesLDAP() {
		o.LDAP = u.LDAP.compose()
	}
	if u.usesHTTP() {
		o.HTTP = u.HTTP.compose()
	}
	return o
}

func (l *ldap) compose() *inboundauth.LDAPOptions {
	return &inboundauth.LDAPOptions{
		URLs: l.URLs, StartTLS: l.StartTLS, CAFile: string(l.CA), Plain: l.Plain,
		UserDN: l.UserDN, BindDN: l.BindDN, BindPassword: l.BindPassword, Base: l.Base, Filter: l.Filter,
		SenderAttribute: l.Senders, Timeout: time.Duration(l.Timeout), Connections: l.Connections,
	}
}

func (c *callout) compose() *inboundauth.HTTPOptions {
	return &inboundauth.HTTPOptions{
		URL: c.URL, Token: c.Token, CAFile: string(c.CA), Plain: c.Plain,
		Timeout: time.Duration(c.Timeout), Connections: c.Connections,
	}
}

// usesLDAP and usesHTTP say whether anything but the defaults is there.
func (u *users) usesLDAP() bool {
	l := &u.LDAP
	return len(l.URLs) > 0 || l.UserDN != "" || l.Filter != "" || l.BindDN != ""
}

func (u *users) usesHTTP() bool { return u.HTTP.URL != "" || u.HTTP.Token != "" }

// isGiven says whether anybody can authenticate.
func (u *users) isGiven() bool { return u.File != "" || u.usesLDAP() || u.usesHTTP() }

// check looks at the backends. The lines of the file are looked at by inbound.
func (u *users) check(r *report) {
	if u.File != "" {
		if _, err := os.Stat(string(u.File)); err != nil {
			r.fault("users.file", "%s: to make it, postrider user add NAME --file %s", err, u.File)
		}
	}
	for i, m := range u.Mechanisms {
		oneOf(r, fmt.Sprintf("users.mechanisms[%d]", i), strings.ToUpper(m), inboundauth.Plain, inboundauth.Login, inboundauth.SCRAM)
	}
	if u.usesLDAP() {
		for _, err := range flatten(u.LDAP.compose().Validate()) {
			r.fault("users.ldap", "%s", err)
		}
	}
	if u.usesHTTP() {
		for _, err := range flatten(u.HTTP.compose().Validate()) {
			r.fault("users.http", "%s", err)
		}
	}
}
