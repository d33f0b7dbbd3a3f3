package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"postrider/relay"
)

// patience is how long a client waits for the backends, queueing included.
const patience = 30 * time.Second

// Authority knows who the users are and what they may do. It is safe for concurrent use.
type Authority struct {
	o        Options
	file     *file // nil where there is none
	stages   []stage
	cache    *cache
	failures *failures
}

// stage is a backend and the attempts that it may look at at once.
type stage struct {
	Backend
	slots chan struct{}
}

// New opens the backends and reports every fault of the options at once.
func New(o Options) (*Authority, error) {
	o = o.withDefaults()
	faults := []error{o.validate()}
	a := &Authority{
		o: o, cache: newCache(o.CacheTTL, o.Now), failures: newFailures(o.Failures, o.Delay, o.Now),
	}
	if o.File != "" {
		var err error
		a.file, err = openFile(o.File, &o)
		a.file.last = o.LDAP == nil && o.HTTP == nil
		a.add(a.file, runtime.GOMAXPROCS(0)) // a check is all computation
		faults = append(faults, err)
	}
	if o.LDAP != nil {
		l, err := newLDAP(*o.LDAP)
		a.add(l, l.o.Connections)
		faults = append(faults, err)
	}
	if o.HTTP != nil {
		h, err := newCallout(*o.HTTP)
		a.add(h, h.o.Connections)
		faults = append(faults, err)
	}
	return a, errors.Join(faults...)
}

func (a *Authority) add(b Backend, slots int) {
	a.stages = append(a.stages, stage{b, make(chan struct{}, max(1, slots))})
}

// Close closes idle connections of the backends.
func (a *Authority) Close() error {
	var faults []error
	for _, s := range a.stages {
		if c, ok := s.Backend.(interface{ Close() error }); ok {
			faults = append(faults, c.Close())
		}
	}
	return errors.Join(faults...)
}

// Mechanisms is what to offer now, best first.
func (a *Authority) Mechanisms() []string {
	if len(a.o.Mechanisms) > 0 {
		return slices.Clone(a.o.Mechanisms)
	}
	offered := []string{Plain, Login}
	if len(a.stages) == 1 && a.file != nil {
		if _, all := a.file.table().hasSCRAM(); all {
			offered = slices.Insert(offered, 0, SCRAM)
		}
	}
	return offered
}

// accepts says whether a client may use the mechanism. SCRAM is taken from any user who
// can use it, even where it is not offered to all.
func (a *Authority) accepts(mechanism string) bool {
	if slices.Contains(a.Mechanisms(), mechanism) {
		return true
	}
	if mechanism != SCRAM || a.file == nil || len(a.o.Mechanisms) > 0 {
		return false
	}
	some, _ := a.file.table().hasSCRAM()
	return some
}

// password decides about a name and a password.
func (a *Authority) password(ctx context.Context, at Attempt) (*Identity, error) {
	pair := pairOf(at.Client, at.User)
	if err := a.heard(pair); err != nil {
		return nil, err
	}
	if pair.user == "" {
		return nil, ErrCredentials
	}
	// An empty password is a wrong one: LDAP takes it for no wish to authenticate (RFC 4513
	// section 5.1.2), and says yes.
	if at.Password == "" {
		a.failures.fail(pair)
		return nil, ErrCredentials
	}
	var version *table
	if a.file != nil {
		version = a.file.table()
	}
	id := a.cache.get(at, version)
	if id == nil {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		var err error
		if id, err = a.ask(ctx, at, pair); err != nil {
			return nil, err
		}
		a.cache.put(at, version, id)
	}
	a.failures.succeed(pair)
	return id, nil
}

// heard returns the reply to a client that is not heard because it failed too often.
func (a *Authority) heard(pair failureKey) error {
	switch network, user := a.failures.over(pair); {
	case network:
		return &replyNetworkOver
	case user:
		return &replyUserOver
	}
	return nil
}

// ask goes from backend to backend.
func (a *Authority) ask(ctx context.Context, at Attempt, pair failureKey) (*Identity, error) {
	for i, s := range a.stages {
		id, err := a.askOne(ctx, s, at, pair)
		if !errors.Is(err, ErrUnknown) {
			return id, err
		}
		if i == len(a.stages)-1 {
			a.failures.fail(pair)
		}
	}
	return nil, ErrCredentials
}

// askOne looks at the limits again when it is the attempt's turn, and counts a failure before
// the next one's: many attempts at once get no more guesses than one after the other, but
// for those that have a slot.
func (a *Authority) askOne(ctx context.Context, s stage, at Attempt, pair failureKey) (*Identity, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a turn to check the password: %w", ctx.Err())
	}
	if err := a.heard(pair); err != nil {
		return nil, err
	}
	id, err := s.Authenticate(ctx, at)
	if errors.Is(err, ErrCredentials) {
		a.failures.fail(pair)
	}
	return id, err
}

// Identify gives what the users file says of somebody who has proved by other means to be the
// user, such as by a certificate; nil where it says nothing, or there is none.
func (a *Authority) Identify(user string) *Identity {
	if a == nil || a.file == nil {
		return nil
	}
	e := a.file.table().byName[user]
	if e == nil {
		return nil
	}
	id := e.Identity
	return &id
}

// Mail decides whether the user may send as the reverse-path. No identity means that nobody has
// authenticated, which is for others to judge.
func (a *Authority) Mail(id *Identity, sender relay.Address) *relay.Reply {
	if id != nil && !id.Senders.Allow(sender) {
		return &replySender
	}
	return nil
}

// Header decides whether the user may send a message with such From fields.
func (a *Authority) Header(id *Identity, from []string) *relay.Reply {
	if id == nil || !a.o.FromHeader || len(id.Senders) == 0 || len(from) == 0 {
		return nil
	}
	if len(from) > 1 { // RFC 5322 section 3.6; readers differ in which one they show
		return replyFrom.Because(fmt.Errorf("%d From fields", len(from)))
	}
	// In some charsets a byte and the backslash behind it are one letter, and quotes end elsewhere; in ISO-2022 and its
	// kind, what stands between two escapes is letters, whatever it is in ASCII, and comments end elsewhere.
	if !utf8.ValidString(from[0]) && strings.Contains(from[0], `\`) || strings.ContainsAny(from[0], "\x1b\x0e\x0f") {
		return replyFrom.Because(errors.New("a From field in a charset that it does not name, with what means something else there"))
	}
	listed, err := relay.Mailboxes(from[0])
	if err != nil {
		return replyFrom.Because(err)
	}
	if len(listed) == 0 { // a group without members, whose name may look like an address
		return replyFrom.Because(errors.New("a From field without an address"))
	}
	for _, text := range listed {
		address, err := relay.ParseAddress(text)
		if err != nil || address.IsNull() || !id.Senders.Allow(address) {
			return replyFrom.Because(fmt.Errorf("user %q may not write as %q", id.User, text))
		}
	}
	return nil
}
