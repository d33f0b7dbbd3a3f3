package outbound

import (
	"sync"
	"time"

	"postrider/relay"
)

// TokenState is what operators see of an account and its access token.
type TokenState struct {
	// User is the account, Grant how its tokens are got: see OAuth.Grant.
	User, Provider, Grant string
	// Routes are those that send as the account.
	Routes []string
	// TokenFile is where the refresh token of a person is.
	TokenFile string
	// Granted is when a person signed in, Renewed when the refresh token last changed.
	Granted, Renewed time.Time
	// Refreshed is when the access token was got, Expires until when it is good. Both are zero
	// while there is none.
	Refreshed, Expires time.Time
	// Fault is why the latest try to get a token failed, and Failed when; zero when it did not.
	Fault  string
	Failed time.Time
}

// shownToken is an account's TokenState, which can be looked at while the endpoint is being asked.
type shownToken struct {
	mu    sync.Mutex
	state TokenState
}

// note takes in how a refresh went.
func (s *shownToken) note(t Token, failed error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Refreshed, s.state.Expires, s.state.Granted, s.state.Renewed = t.Refreshed, t.Expires, t.Granted, t.Renewed
	s.state.Fault, s.state.Failed = "", time.Time{}
	if failed != nil {
		s.state.Fault, s.state.Failed = asReply(failed).Text, now
	}
}

// asReply is the reply that an error is, or the one for faults of ours.
func asReply(err error) *relay.Reply {
	if reply, ok := err.(*relay.Reply); ok {
		return reply
	}
	return relay.LocalError(err)
}

func (s *shownToken) get() TokenState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// state is what is known of the account. Before its first use that is what is in the file.
func (a *account) state() TokenState {
	s := a.shown.get()
	if !a.o.interactive() || !s.Refreshed.IsZero() || s.Fault != "" {
		return s
	}
	t, err := ReadToken(a.o.TokenFile)
	if err != nil {
		s.Fault = replyNoToken(a.user, err).Text
	}
	s.Granted, s.Renewed, s.Refreshed, s.Expires = t.Granted, t.Renewed, t.Refreshed, t.Expires
	return s
}

// Tokens shows the accounts of all routes, each once.
func (t *Transport) Tokens() []TokenState {
	routes := make(map[*account][]string)
	for i := range t.o.Routes {
		if r := &t.o.Routes[i]; r.Auth != nil && r.Auth.OAuth != nil {
			a := t.accounts.of(r.Auth)
			routes[a] = append(routes[a], r.Name)
		}
	}
	t.accounts.mu.Lock()
	all := t.accounts.order
	t.accounts.mu.Unlock()
	var states []TokenState
	for _, a := range all {
		state := a.state()
		state.Routes = routes[a]
		states = append(states, state)
	}
	return states
}

// Figures measures DNS, TLS and the tokens, and says which routes are led around.
func (t *Transport) Figures() []relay.Figure {
	now := t.o.Now()
	all := t.tally.figures()
	add := func(name, help string, value float64, labels ...string) {
		all = append(all, relay.Figure{Name: name, Help: help, Labels: labels, Value: value})
	}
	for _, s := range t.Tokens() {
		labels := []string{"user", s.User, "provider", s.Provider}
		fault := 0.0
		if s.Fault != "" {
			fault = 1
		}
		add("oauth_token_fault", "1 when the latest try to get an access token failed.", fault, labels...)
		if !s.Refreshed.IsZero() {
			add("oauth_token_age_seconds", "The time since the access token was got.", now.Sub(s.Refreshed).Seconds(), labels...)
			add("oauth_token_left_seconds", "How long the access token is still good; less than 0 when it has ended.", s.Expires.Sub(now).Seconds(), labels...)
		}
		if !s.Renewed.IsZero() {
			add("oauth_refresh_token_age_seconds", "The time since the refresh token was replaced.", now.Sub(s.Renewed).Seconds(), labels...)
		}
	}
	for i := range t.o.Routes {
		r := &t.o.Routes[i]
		if len(r.Fallback) == 0 || r.MX {
			continue
		}
		led := 0.0
		if _, left := t.detours.left(relay.Destination{Route: r.Name}); left {
			led = 1
		}
		add("route_diverted", "1 while mail of the route is led around it.", led, "route", r.Name)
	}
	return all
}
