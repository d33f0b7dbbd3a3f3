package outbound

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"postrider/relay"
)

// authenticate proves who we are, where the route has credentials. Every failure is
// temporary: it is our configuration that is wrong, and no mail bounces for it (conformance T18).
func (c *conn) authenticate(ctx context.Context) error {
	cred := c.route.Auth
	if cred == nil {
		return nil
	}
	// Through a proxy a loopback address is the proxy's, and the way to it is not.
	near := c.remote.addr.Addr().IsLoopback() && c.route.SOCKS5 == ""
	if !c.verified && !c.route.PlainAuth && !near {
		return saying(replyAuth, "Credentials of route %s are not sent to %s without verified TLS", c.route.Name, c.remote)
	}
	name, ok := c.mechanism()
	if !ok {
		return saying(replyAuth, "%s does not offer AUTH %s, which route %s needs", c.remote, strings.Join(cred.mechanisms(), " or "), c.route.Name)
	}
	if cred.OAuth == nil {
		return c.sasl(passwordClient(name, cred))
	}
	account := c.t.accounts.of(cred)
	token, err := account.token(ctx)
	if err != nil {
		return err
	}
	c.secrets.add(token)
	err = c.sasl(&bearer{name: name, user: cred.User, token: token, host: c.remote})
	if reply, ok := err.(*relay.Reply); ok && reply.Class == relay.ClassAuth {
		account.refused(ctx, token)
	}
	return err
}

// mechanism picks the strongest one that both sides know.
func (c *conn) mechanism() (string, bool) {
	for _, name := range c.route.Auth.mechanisms() {
		if slices.Contains(c.features.auth, name) {
			return name, true
		}
	}
	return "", false
}

func passwordClient(name string, cred *Credentials) sasl.Client {
	switch name {
	case mechanismSCRAM:
		return newSCRAM(cred.User, cred.Password)
	case mechanismPlain:
		return sasl.NewPlainClient("", cred.User, cred.Password)
	}
	return &login{answers: []string{cred.User, cred.Password}}
}

// maxChallenges bounds the dialogue: no mechanism that we speak has more.
const maxChallenges = 4

// sasl runs the dialogue of RFC 4954 section 4.
func (c *conn) sasl(m sasl.Client) error {
	name, initial, err := m.Start()
	if err != nil {
		return saying(replyAuth, "Cannot authenticate to %s", c.remote).Because(err)
	}
	defer func() { c.secrets = nil }()
	c.secrets.add(c.route.Auth.Password)
	line := "AUTH " + name
	if initial != nil {
		c.secrets.add(string(initial))
		line += " " + base64.StdEncoding.EncodeToString(initial)
	}
	takeDown := c.transcript.Command
	for range maxChallenges {
		takeDown(relay.Us, line)
		takeDown = c.transcript.Secret
		a, err := c.exchange(line, c.t.o.Timeouts.Hello)
		if err != nil {
			return c.lost("AUTH", err)
		}
		if a.code/100 == 2 {
			return proven(m, c.remote)
		}
		if a.code != 334 {
			return c.unauthenticated(name, a)
		}
		line = "*" // cancels; the peer then answers 501
		challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.Join(a.lines, "")))
		if err != nil {
			continue
		}
		if response, err := m.Next(challenge); err == nil {
			if answer := string(response); answer != c.route.Auth.User {
				c.secrets.add(answer)
			}
			line = base64.StdEncoding.EncodeToString(response)
		}
	}
	return saying(replyAuth, "%s does not come to an end with AUTH", c.remote)
}

// unauthenticated makes a reply of a refused AUTH. A 5xx holds the route until its credentials
// are put right; a 4xx, such as 454, says nothing about them.
func (c *conn) unauthenticated(mechanism string, a answerLines) *relay.Reply {
	reply := c.refused("AUTH "+mechanism+" of user "+c.route.Auth.User, a)
	if a.code/100 == 5 {
		reply.Enhanced, reply.Class = replyAuth.Enhanced, relay.ClassAuth
	}
	return reply
}

// proven says whether the server has shown that it knows the password too, where the mechanism
// asks for that. One that has not may be anybody.
func proven(m sasl.Client, to remote) error {
	s, ok := m.(*scram)
	if !ok || s.verified {
		return nil
	}
	return saying(replyAuth, "%s accepts a password without knowing it", to)
}

// login is the LOGIN mechanism without an initial response and whatever the prompts say: both
// are needed with servers in use. A third prompt is cancelled.
type login struct{ answers []string }

// Start implements sasl.Client.
func (l *login) Start() (mechanism string, initial []byte, err error) { return sasl.Login, nil, nil }

// Next implements sasl.Client.
func (l *login) Next([]byte) ([]byte, error) {
	if len(l.answers) == 0 {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	answer := l.answers[0]
	l.answers = l.answers[1:]
	return []byte(answer), nil
}
