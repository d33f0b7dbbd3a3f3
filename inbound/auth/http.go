package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"postrider/relay"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// HTTPOptions name a service that knows users.
type HTTPOptions struct {
	// URL gets a POST with {"user", "password", "client", "listener"} and answers 200 with
	// {"ok", "user", "senders", "rate", "quota"}, of which only ok must be there.
	URL string
	// Token is sent as a bearer token, if there is one.
	Token string
	// CAFile has the certificates to trust, as PEM; the system's where it is "".
	CAFile string
	// Plain allows http to other hosts than this one.
	Plain bool
	// Timeout bounds a call. 5 s by default.
	Timeout time.Duration
	// Connections bounds the calls at once. 16 by default.
	Connections int
	// Breaker has the service left alone when it does not answer; nil never does.
	Breaker *relay.Breaker
}

// callout is the backend of an HTTP service.
type callout struct {
	o      HTTPOptions
	client *http.Client
}

func newCallout(o HTTPOptions) (*callout, error) {
	o.Timeout, o.Connections = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.Connections, DefaultHTTPConnections)
	c := &callout{o: o}
	if err := o.Validate(); err != nil {
		return c, fmt.Errorf("users: http: %w", err)
	}
	config, err := clientTLS(o.CAFile)
	if err != nil {
		return c, fmt.Errorf("users: http: %w", err)
	}
	c.client = &http.Client{
		Timeout: o.Timeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: o.Connections, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: o.Timeout,
		},
		// Passwords go to nobody but the one that was configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Validate finds what is wrong with the options.
func (o HTTPOptions) Validate() error {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q is not a URL such as https://auth.example.com/smtp", o.URL)
	case u.Scheme == "http" && !o.Plain && !isLoopback(u.Host):
		return fmt.Errorf("%s would show passwords to the network: use https, or set plain: true", o.URL)
	case o.Timeout < 0 || o.Connections < 0:
		return errors.New("timeout and connections must be more than 0")
	}
	_, err = clientTLS(o.CAFile)
	return err
}

// Close closes idle connections.
func (c *callout) Close() error {
	if c.client != nil {
		c.client.CloseIdleConnections()
	}
	return nil
}

type question struct {
	User     string `json:"user"`
	Password string `json:"password"`
	Client   string `json:"client"`
	Listener string `json:"listener"`
}

type answer struct {
	OK      *bool    `json:"ok"`
	User    string   `json:"user"`
	Senders []string `json:"senders"`
	Rate    string   `json:"rate"`
	Quota   string   `json:"quota"`
}

// Authenticate implements Backend.
func (c *callout) Authenticate(ctx context.Context, a Attempt) (*Identity, error) {
	q := question{User: a.User, Password: a.Password, Listener: a.Listener}
	if a.Client.IsValid() {
		q.Client = a.Client.String()
	}
	var said *answer
	err := c.o.Breaker.Do(func() (down bool, err error) {
		said, down, err = c.ask(ctx, q)
		return down && ctx.Err() == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("users: http: %w", err)
	}
	if !*said.OK {
		return nil, ErrCredentials
	}
	id, err := said.identity(a.User)
	if err != nil {
		return nil, fmt.Errorf("users: http: answer for user %q: %w", a.User, err)
	}
	return id, nil
}

// ask makes the call. Nothing but a 200 with an ok in it is an answer: a proxy's 403 says
// nothing about the password. Down says that not even such an answer came.
func (c *callout) ask(ctx context.Context, q question) (said *answer, down bool, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, false, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.URL, bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	if c.o.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.o.Token)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, true, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, true, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, false, fmt.Errorf("the answer is %s", response.Status)
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, false, fmt.Errorf("the answer is not JSON: %w", err)
	}
	if said == nil || said.OK == nil {
		return nil, false, errors.New("the answer has no ok")
	}
	return said, false, nil
}

func (a *answer) identity(user string) (id *Identity, err error) {
	id = &Identity{User: cmp.Or(a.User, user), Senders: a.Senders}
	if a.Senders != nil { // an empty list is of nobody; only none at all is of anybody
		id.Senders = append(nobody(), a.Senders...)
	}
	if !IsName(id.User) {
		return nil, fmt.Errorf("%q cannot be a user's name", id.User)
	}
	for _, s := range a.Senders {
		if err := CheckSender(s); err != nil {
			return nil, err
		}
	}
	if a.Rate != "" {
		if id.Rate, err = ParseRate(a.Rate); err != nil {
			return nil, err
		}
	}
	if a.Quota != "" {
		if id.Quota, err = ParseQuota(a.Quota); err != nil {
			return nil, err
		}
	}
	return id, nil
}
