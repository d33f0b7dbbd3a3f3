package outbound

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

// authenticate proves who we are, where the route has credentials. Every failure is
// temporary: it is our configuration that is wrong, and no mail bounces for it (conformance T18).
func (c *conn) authenticate() error {
	cred := c.route.Auth
	if cred == nil {
		return nil
	}
	if !c.verified && !c.route.PlainAuth && !c.remote.addr.Addr().IsLoopback() {
		return saying(replyAuth, "Credentials of route %s are not sent to %s without verified TLS", c.route.Name, c.remote)
	}
	var mechanism sasl.Client
	switch {
	case slices.Contains(c.features.auth, sasl.Plain):
		mechanism = sasl.NewPlainClient("", cred.User, cred.Password)
	case slices.Contains(c.features.auth, sasl.Login):
		mechanism = &login{answers: []string{cred.User, cred.Password}}
	default:
		return saying(replyAuth, "%s does not offer AUTH PLAIN or LOGIN, which route %s needs", c.remote, c.route.Name)
	}
	return c.sasl(mechanism)
}

// maxChallenges bounds the dialogue: no mechanism that we speak has more.
const maxChallenges = 4

// sasl runs the dialogue of RFC 4954 section 4.
func (c *conn) sasl(m sasl.Client) error {
	name, initial, err := m.Start()
	if err != nil {
		return saying(replyAuth, "Cannot authenticate to %s", c.remote).Because(err)
	}
	line := "AUTH " + name
	if initial != nil {
		line += " " + base64.StdEncoding.EncodeToString(initial)
	}
	for range maxChallenges {
		a, err := c.command(line, c.t.o.Timeouts.Hello)
		if err != nil {
			return c.lost("AUTH", err)
		}
		if a.code/100 == 2 {
			return nil
		}
		if a.code != 334 {
			reply := c.refused("AUTH of user "+c.route.Auth.User, a)
			if a.code/100 == 5 {
				reply.Enhanced = replyAuth.Enhanced
			}
			return reply
		}
		line = "*" // cancels; the peer then answers 501
		challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.Join(a.lines, "")))
		if err != nil {
			continue
		}
		if response, err := m.Next(challenge); err == nil {
			line = base64.StdEncoding.EncodeToString(response)
		}
	}
	return saying(replyAuth, "%s does not come to an end with AUTH", c.remote)
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
