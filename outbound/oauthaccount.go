package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"postrider/relay"
)

const (
	// tokenMargin is how long before its expiry a token is replaced, and tokenLeast how much
	// life it must have to be used when that fails.
	tokenMargin = 5 * time.Minute
	tokenLeast  = 30 * time.Second
	// tokenPause is how long a token endpoint that failed is left alone.
	tokenPause = 30 * time.Second
	// tokenTimeout bounds a request to the token endpoint, and tokenGrace what is left of it once
	// the one who asks has stopped waiting: a refresh token that was replaced must not be lost
	// with the answer, and an endpoint that hangs must not hold up the end of the relay.
	tokenTimeout = 10 * time.Second
	tokenGrace   = 5 * time.Second
)

// replyToken is for an access token that cannot be had for now, whosever fault it is not ours.
var replyToken = relay.Reply{Code: 451, Enhanced: relay.EnhancedCode{4, 7, 0}, Class: relay.ClassHost}

// replyNoToken is for an account of a person who has yet to sign in.
func replyNoToken(user string, err error) *relay.Reply {
	return saying(replyAuth, "No OAuth2 token of %s: run postrider oauth login", user).Because(err)
}

// accounts has the accounts of all routes, each once.
type accounts struct {
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex
	byKey map[string]*account
	// order has them as they were found.
	order []*account
}

func newAccounts(o *Options) *accounts {
	return &accounts{client: o.HTTP, now: o.Now, byKey: make(map[string]*account)}
}

// of finds the account that the credentials are for. Routes of one account share its token.
func (as *accounts) of(c *Credentials) *account {
	as.mu.Lock()
	defer as.mu.Unlock()
	key := c.OAuth.key(c.User)
	a := as.byKey[key]
	if a == nil {
		a = &account{user: c.User, o: c.OAuth.complete(), client: as.client, now: as.now, turn: make(chan struct{}, 1)}
		a.shown.state = TokenState{User: c.User, Provider: a.o.Provider, Grant: a.o.Grant(), TokenFile: a.o.TokenFile}
		as.byKey[key] = a
		as.order = append(as.order, a)
	}
	return a
}

// account keeps the access token of one user.
type account struct {
	user   string
	o      OAuth
	client *http.Client
	now    func() time.Time
	// turn is held by the one who asks the endpoint; it guards what follows. The others wait
	// for it and find the token there.
	turn chan struct{}
	held Token
	// unsaved says that held has a refresh token that is not on disk yet: nothing of it is used.
	// It came in exchange for the refresh token base.
	unsaved bool
	base    string
	// failed is why the endpoint is left alone until retry.
	failed error
	retry  time.Time
	// bad is the access token that a host did not take.
	bad string
	// shown is what operators see of it.
	shown shownToken
}

// token returns an access token that is good for some time. The error is a *relay.Reply.
func (a *account) token(ctx context.Context) (string, error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if a.good(tokenMargin) {
		return a.held.Access, nil
	}
	if now := a.now(); !now.Before(a.retry) {
		err := a.refresh(ctx)
		if err != nil && err == ctx.Err() {
			return "", err // nobody was asked
		}
		if a.failed = err; err != nil {
			a.retry = now.Add(tokenPause)
		}
		a.shown.note(a.held, a.failed, now)
	}
	if a.failed != nil && !a.good(tokenLeast) {
		return "", a.failed
	}
	return a.held.Access, nil
}

// good says whether the token can be used and has that much life left.
func (a *account) good(life time.Duration) bool {
	return a.held.Access != "" && a.held.Access != a.bad && !a.unsaved && a.now().Add(life).Before(a.held.Expires)
}

// refused is told that a host did not take the token, which may have been revoked: the next
// attempt gets another one.
func (a *account) refused(ctx context.Context, token string) {
	select {
	case a.turn <- struct{}{}:
		a.bad = token
		<-a.turn
	case <-ctx.Done(): // it will be refused again
	}
}

// hurry has the endpoint asked at the next need of a token, however short a time ago it failed. Where
// it is being asked now there is nothing to do.
func (a *account) hurry() {
	select {
	case a.turn <- struct{}{}:
		a.retry = time.Time{}
		<-a.turn
	default:
	}
}

// refresh gets a new access token. A refresh token that came with it is on disk before
// anything of the answer is used. Whoever else has the file, such as a sign-in or a second process,
// waits meanwhile: a refresh token that is spent twice may cost the account. When ctx ends before the
// endpoint was asked, that is the error; what has been asked is carried through.
func (a *account) refresh(ctx context.Context) error {
	if !a.o.interactive() {
		return a.ask(ctx)
	}
	unlock, err := a.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if a.unsaved {
		return a.save()
	}
	// The file is what counts: it survives us, and somebody may have signed in anew.
	held, err := ReadToken(a.o.TokenFile)
	if err != nil {
		return replyNoToken(a.user, err)
	}
	if held.User != a.user {
		return saying(replyAuth, "The OAuth2 token of %s is not for %s: run postrider oauth login", held.User, a.user)
	}
	a.held = held
	if a.good(tokenMargin) {
		return nil
	}
	a.base = held.Refresh
	if err := a.ask(ctx); err != nil {
		return err
	}
	a.unsaved = true
	return a.save()
}

// lock keeps others from the token file.
func (a *account) lock(ctx context.Context) (unlock func(), err error) {
	if a.unsaved { // else what is held would be lost at the end of the relay
		longer, cancel := outlasting(ctx, tokenGrace)
		defer cancel()
		ctx = longer
	}
	unlock, err = lockToken(ctx, a.o.TokenFile)
	switch {
	case err == nil:
		return unlock, nil
	case a.unsaved:
		return nil, saying(replyToken, "Cannot store the OAuth2 token of %s", a.user).Because(err)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, saying(replyToken, "The OAuth2 token of %s is in use by another process", a.user).Because(err)
	}
	return nil, replyNoToken(a.user, err)
}

// save stores what was got, unless the file has another refresh token than the one that it was got
// for: what a person put there meanwhile is newer, and is read the next time.
func (a *account) save() error {
	if onDisk, err := ReadToken(a.o.TokenFile); err == nil && onDisk.Refresh != a.base {
		a.held, a.unsaved = onDisk, false
		if !a.good(tokenLeast) {
			return saying(replyToken, "The OAuth2 token of %s has just been replaced", a.user)
		}
		return nil
	}
	if err := writeToken(a.o.TokenFile, a.held); err != nil {
		return saying(replyToken, "Cannot store the OAuth2 token of %s", a.user).Because(err)
	}
	a.unsaved = false
	return nil
}

// ask gets a token from the endpoint into held.
func (a *account) ask(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx, end := outlasting(ctx, tokenGrace)
	defer end()
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	got, err := a.o.grant(ctx, a.client, a.user, a.held.Refresh)
	if err != nil {
		return a.fault(err)
	}
	a.held.User = a.user
	a.held.renew(got, a.now())
	return nil
}

// outlasting returns a context that ends some time after ctx does.
func outlasting(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// fault makes a reply of what the endpoint said, or of its silence.
func (a *account) fault(err error) *relay.Reply {
	endpoint := a.o.TokenURL
	if u, err := url.Parse(endpoint); err == nil {
		endpoint = u.Host
	}
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		if a.o.KeyFile != "" && !isNetwork(err) {
			return saying(replyAuth, "The service account for %s gets no OAuth2 token from %s", a.user, endpoint).Because(err)
		}
		return saying(replyToken, "OAuth2 token endpoint %s: %s", endpoint, cause(err)).Because(err)
	}
	said := refused.ErrorCode
	if said == "" && refused.Response != nil {
		said = refused.Response.Status
	}
	if refused.ErrorDescription != "" {
		first, _, _ := strings.Cut(refused.ErrorDescription, "\n")
		said += ": " + printable(strings.TrimSpace(first[:min(len(first), 200)]))
	}
	kind := replyAuth
	if transient(refused) {
		kind = replyToken
	}
	text := fmt.Sprintf("OAuth2 token endpoint %s refuses %s: %s", endpoint, a.user, said)
	if refused.ErrorCode == "invalid_grant" && a.o.interactive() {
		text += "; run postrider oauth login"
	}
	return saying(kind, "%s", text).Because(err)
}

// transient says whether the endpoint itself is in trouble, rather than our request.
func transient(e *oauth2.RetrieveError) bool {
	switch e.ErrorCode {
	case "temporarily_unavailable", "server_error":
		return true
	}
	if e.Response == nil {
		return false
	}
	code := e.Response.StatusCode
	return code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
}

// isNetwork says whether a request failed on its way.
func isNetwork(err error) bool {
	var way *url.Error
	return errors.As(err, &way) || isTimeout(err)
}
