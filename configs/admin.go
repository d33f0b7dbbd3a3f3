package configs

import (
	"fmt"

	relayadmin "postrider/relay/admin"
)

// admin is where operators reach us.
type admin struct {
	Socket path        `yaml:"socket"`
	HTTP   string      `yaml:"http"`
	TLS    certificate `yaml:"tls"`
	Tokens []token     `yaml:"tokens"`
}

// token lets its bearer in at admin.http.
type token struct {
	Name     string `yaml:"name"`
	Token    string `yaml:"token"`
	ReadOnly bool   `yaml:"read_only"`
}

// tokenLeast is how long a token must be, in characters: it is all that stands between
// strangers and the queue, and is not for people to remember.
const tokenLeast = 16

// check wants strangers to be kept out (see admin.New).
func (a *admin) check(r *report) {
	if a.HTTP == "" {
		return
	}
	switch local := isLoopback(a.HTTP); {
	case !isAddress(a.HTTP):
		r.fault("admin.http", "%q is not an address such as 127.0.0.1:8025", a.HTTP)
	case !local && (len(a.Tokens) == 0 || a.TLS == certificate{}):
		r.fault("admin.http", "%q is not a loopback address such as 127.0.0.1:8025, and whoever reaches it rules the relay: set tokens and tls", a.HTTP)
	}
	if a.TLS != (certificate{}) {
		a.TLS.check(r, "admin.tls")
	}
	names := make(map[string]bool)
	for i, t := range a.Tokens {
		path := fmt.Sprintf("admin.tokens[%d]", i)
		switch {
		case t.Name == "":
			r.fault(path, "needs a name: changes are ascribed to it")
		case names[t.Name]:
			r.fault(path+".name", "%q is there already", t.Name)
		case len(t.Token) < tokenLeast:
			r.fault(path+".token", "is shorter than %d characters: make one with openssl rand -hex 32", tokenLeast)
		}
		names[t.Name] = true
	}
}

func (a *admin) compose() Admin {
	c := Admin{Socket: string(a.Socket), HTTP: a.HTTP, TLS: relayadmin.TLS{Cert: string(a.TLS.Cert), Key: string(a.TLS.Key)}}
	for _, t := range a.Tokens {
		c.Tokens = append(c.Tokens, relayadmin.Token{Name: t.Name, Secret: t.Token, ReadOnly: t.ReadOnly})
	}
	return c
}
