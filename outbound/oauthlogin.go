package outbound

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Login signs a person in, once, so that the relay can send as their account.
type Login struct {
	// Show tells the person what to do.
	Show func(text string)
	// Listen is the loopback address that a browser is sent back to. Default: any free port.
	Listen string
	// Pasted has what the person types: where the browser is on another machine, the address
	// that it was sent to.
	Pasted <-chan string
	// HTTP reaches the provider. Default: one that honours the proxy of the environment.
	HTTP *http.Client
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// ErrNotInteractive says that an account needs no person.
var ErrNotInteractive = errors.New("this account needs no sign-in: it has no token_file")

// SignIn asks the person for consent and stores the token in the file of the account. It uses the
// device flow (RFC 8628) where the provider has one for mail, and else a browser that comes back
// to this host (RFC 8252), which is what Google wants for Gmail.
func (l Login) SignIn(ctx context.Context, c *Credentials) (Token, error) {
	if c.OAuth == nil || !c.OAuth.interactive() {
		return Token{}, ErrNotInteractive
	}
	l.setDefaults()
	o := c.OAuth.complete()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, l.HTTP)
	ask := l.device
	switch {
	case o.DeviceURL != "":
	case o.AuthURL != "":
		ask = l.browser
	default:
		return Token{}, errors.New("the provider has no device_url and no auth_url to sign in at")
	}
	got, err := ask(ctx, o.config(), c.User)
	if err != nil {
		return Token{}, fmt.Errorf("sign in as %s: %w", c.User, err)
	}
	if got.RefreshToken == "" {
		return Token{}, fmt.Errorf("sign in as %s: the provider gave no refresh token; is offline access among the scopes?", c.User)
	}
	now := l.Now()
	t := Token{User: c.User, Granted: now}
	t.renew(got, now)
	if err := os.MkdirAll(filepath.Dir(o.TokenFile), 0o700); err != nil {
		return Token{}, fmt.Errorf("store the token: %w", err)
	}
	unlock, err := lockToken(ctx, o.TokenFile)
	if err != nil {
		return Token{}, fmt.Errorf("store the token: %w", err)
	}
	defer unlock()
	if err := writeToken(o.TokenFile, t); err != nil {
		return Token{}, fmt.Errorf("store the token: %w", err)
	}
	return t, nil
}

func (l *Login) setDefaults() {
	setDefault(&l.Listen, "127.0.0.1:0")
	if l.HTTP == nil {
		l.HTTP = &http.Client{}
	}
	if l.Now == nil {
		l.Now = time.Now
	}
}

// device shows a code to be entered in a browser anywhere, and waits until that is done.
func (l *Login) device(ctx context.Context, c *oauth2.Config, user string) (*oauth2.Token, error) {
	d, err := c.DeviceAuth(ctx)
	if err != nil {
		return nil, err
	}
	l.Show(fmt.Sprintf("Open %s in a browser anywhere, enter the code %s, and sign in as %s.", d.VerificationURI, d.UserCode, user))
	return c.DeviceAccessToken(ctx, d)
}

// browser sends a browser to the provider and waits for it to come back with a code, on this
// host or by what is pasted. The code is of use only to whoever has the verifier (RFC 7636).
func (l *Login) browser(ctx context.Context, c *oauth2.Config, user string) (*oauth2.Token, error) {
	listener, err := net.Listen("tcp", l.Listen)
	if err != nil {
		return nil, err
	}
	c.RedirectURL = "http://" + listener.Addr().String() + "/"
	verifier, state := oauth2.GenerateVerifier(), rand.Text()
	l.Show(fmt.Sprintf("Open this address in a browser on this host and sign in as %s:\n\n  %s\n\n"+
		"With a browser elsewhere, go on until it cannot reach %s, and paste the address that it shows then:",
		user, c.AuthCodeURL(state, oauth2.AccessTypeOffline, oauth2.S256ChallengeOption(verifier),
			oauth2.SetAuthURLParam("prompt", "consent"), oauth2.SetAuthURLParam("login_hint", user)), c.RedirectURL))
	code, err := l.await(ctx, listener, state)
	if err != nil {
		return nil, err
	}
	return c.Exchange(ctx, code, oauth2.VerifierOption(verifier))
}

// await waits for the answer of the provider, by the browser or by hand.
func (l *Login) await(ctx context.Context, listener net.Listener, state string) (string, error) {
	answers := make(chan url.Values, 1)
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			query := r.URL.Query()
			if query.Get("state") != state {
				http.Error(w, "This is not the sign-in that is waited for.", http.StatusBadRequest)
				return
			}
			fmt.Fprintln(w, "Done: the terminal says how it went. This window can be closed.")
			select {
			case answers <- query:
			default:
			}
		}),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	defer func() {
		// The browser reads its page before the server goes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		<-ended
	}()
	for {
		var query url.Values
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case query = <-answers:
		case line := <-l.Pasted:
			u, err := url.Parse(strings.TrimSpace(line))
			if err != nil || u.Query().Get("state") != state {
				l.Show("That is not the address; it has code= and state= in it.")
				continue
			}
			query = u.Query()
		}
		if fault := query.Get("error"); fault != "" {
			return "", fmt.Errorf("the provider says %s: %s", printable(fault), printable(query.Get("error_description")))
		}
		return query.Get("code"), nil
	}
}

// Check gets an access token for the account, as a delivery would.
func (c *Credentials) Check(ctx context.Context, client *http.Client, now func() time.Time) error {
	if client == nil {
		client = &http.Client{}
	}
	as := newAccounts(&Options{HTTP: client, Now: now})
	_, err := as.of(c).token(ctx)
	return err
}

// Grant says in a word how access tokens are got: by the consent of a "person", by the key of a
// "service account", or by an "application" for itself.
func (o *OAuth) Grant() string {
	switch {
	case o.interactive():
		return "person"
	case o.KeyFile != "":
		return "service account"
	}
	return "application"
}
