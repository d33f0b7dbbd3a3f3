package outbound

import (
	"reflect"
	"slices"
	"sync/atomic"

	"postrider/relay"
)

// Next makes the Transport of changed options. It knows what t has learned: hosts and their
// health, DNS answers where the same servers are asked, access tokens of the same accounts. t
// goes on as before until it is told to Yield.
func (t *Transport) Next(o Options) (*Transport, error) {
	next, err := New(o)
	if err != nil {
		return nil, err
	}
	next.noTLS, next.noPipelining, next.noChunking, next.noAhead = t.noTLS, t.noPipelining, t.noChunking, t.noAhead
	next.health, next.sessions, next.detours = t.health, t.sessions, t.detours
	next.accounts.inherit(t.accounts, next.o.Routes)
	if reflect.DeepEqual(t.o.DNS, next.o.DNS) {
		next.resolver = t.resolver
		if next.sts != nil {
			next.sts.resolver = t.resolver
		}
		if t.o.STSDir == next.o.STSDir {
			next.sts = t.sts
		}
	}
	next.inherit(t.tally)
	return next, nil
}

// Yield makes way for what Next returned. Connections stay where their route is the same there;
// over others no further message is sent.
func (t *Transport) Yield(next *Transport) {
	for name, r := range t.routes {
		if n := next.routes[name]; n != nil && n.same(r) && t.sameSessions(next) {
			n.over = r.over
			continue
		}
		r.over.Store(true)
	}
	for _, r := range next.routes {
		if former := t.routes[r.Name]; former == nil || !reflect.DeepEqual(former.Auth, r.Auth) || next.signedInAnew(r) {
			next.detours.forgive(func(to relay.Destination) bool { return to.Route == r.Name })
		}
	}
}

// signedInAnew says that the token file of the route has another grant than the one in use. The
// account then does not wait before it reads it.
func (t *Transport) signedInAnew(r *Route) bool {
	if r.Auth == nil || r.Auth.OAuth == nil || !r.Auth.OAuth.interactive() {
		return false
	}
	a := t.accounts.of(r.Auth)
	onDisk, err := ReadToken(a.o.TokenFile)
	if err != nil || onDisk.Granted.Equal(a.shown.get().Granted) {
		return false
	}
	a.hurry()
	return true
}

// Retry implements relay.Retrier: credentials that were refused are tried again.
func (t *Transport) Retry(to relay.Destination) {
	r, ok := t.routes[to.Route]
	if !ok {
		return
	}
	ways := t.waysOf(r, to)
	t.detours.forgive(func(left relay.Destination) bool {
		return slices.ContainsFunc(ways, func(w way) bool { return w.to == left })
	})
	for _, w := range ways {
		if c := w.route.Auth; c != nil && c.OAuth != nil {
			t.accounts.of(c).hurry()
		}
	}
}

// sameSessions says that sessions over a route that has not changed are held as before.
func (t *Transport) sameSessions(next *Transport) bool {
	return t.o.Hostname == next.o.Hostname && t.o.Timeouts == next.o.Timeouts &&
		t.o.MessagesPerConnection == next.o.MessagesPerConnection && reflect.DeepEqual(t.o.Replies, next.o.Replies)
}

// same says that two routes differ in nothing.
func (r *Route) same(other *Route) bool {
	a, b := *r, *other
	a.over, b.over = nil, nil
	return reflect.DeepEqual(a, b)
}

// inherit takes over the accounts that routes still name, with their tokens.
func (as *accounts) inherit(former *accounts, routes []Route) {
	former.mu.Lock()
	defer former.mu.Unlock()
	for i := range routes {
		c := routes[i].Auth
		if c == nil || c.OAuth == nil {
			continue
		}
		key := c.OAuth.key(c.User)
		if a := former.byKey[key]; a != nil && as.byKey[key] == nil && reflect.DeepEqual(a.o, c.OAuth.complete()) {
			as.byKey[key] = a
			as.order = append(as.order, a)
		}
	}
}

// current gives the route its mark: whether it is over.
func (r Route) current() *Route {
	r.over = new(atomic.Bool)
	return &r
}

func (r *Route) isOver() bool { return r.over != nil && r.over.Load() }
