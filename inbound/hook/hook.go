package hook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postrider/relay"
)

// The defaults of Options.
const (
	DefaultTimeout     = 10 * time.Second
	DefaultConnections = 20
)

// Options name a service.
type Options struct {
	// Name is for logs and traces.
	Name string
	// URL is where questions are posted: https, or http too where no secret is.
	URL string
	// Secret, unless it is "", is what questions are signed with, as Standard Webhooks has it: the
	// bytes, or "whsec_" and base64; at least 24 bytes.
	Secret string
	// Timeout bounds one question, from the wait for its turn to the answer. Default 10 seconds.
	Timeout time.Duration
	// Connections is how many questions are asked at once; others wait, within Timeout. Default 20.
	Connections int
	// Accept lets messages pass that the service cannot be asked about. Otherwise they are refused
	// for now.
	Accept bool
	// Fault is told of failures.
	Fault func(relay.Fault)
	// Breaker has the service left alone when it does not answer; nil never does.
	Breaker *relay.Breaker
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Transport is for tests. The default is one of its own, which asks no proxy.
	Transport http.RoundTripper
}

// Hook is a relay.Judge.
type Hook struct {
	o      Options
	secret []byte
	client *http.Client
	slots  chan struct{}
}

var _ relay.Judge = (*Hook)(nil)

// New fills in the defaults. It does not connect.
func New(o Options) (*Hook, error) {
	if err := checkURL(&o); err != nil {
		return nil, fmt.Errorf("hook %s: %w", o.Name, err)
	}
	secret, err := secretOf(o.Secret)
	if err != nil {
		return nil, fmt.Errorf("hook %s: the secret: %w", o.Name, err)
	}
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.Connections = cmp.Or(o.Connections, DefaultConnections)
	if o.Timeout < 0 || o.Connections < 0 {
		return nil, fmt.Errorf("hook %s: the timeout or the number of connections is negative", o.Name)
	}
	if o.Fault == nil {
		o.Fault = func(relay.Fault) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{MaxIdleConnsPerHost: o.Connections, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxAnswer}
	}
	client := &http.Client{
		Transport: o.Transport,
		// What is said of a message, and signed, is for one address and not for another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Hook{o: o, secret: secret, client: client, slots: make(chan struct{}, o.Connections)}, nil
}

// checkURL wants a secret's signature, and what it proves genuine, to be read by nobody on the way.
func checkURL(o *Options) error {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("the URL is not an address such as https://judge.example.com/mail")
	}
	private := u.Scheme == "https" || isLoopback(u.Hostname())
	if !private && (o.Secret != "" || u.User != nil) {
		return errors.New("a secret goes by https, or by http to this host only")
	}
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// secretLeast is how short a secret may be, in bytes, as Standard Webhooks says.
const secretLeast = 24

func secretOf(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	secret := []byte(text)
	if encoded, ok := strings.CutPrefix(text, "whsec_"); ok {
		var err error
		if secret, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, errors.New("what follows whsec_ is not base64")
		}
	}
	if len(secret) < secretLeast {
		return nil, fmt.Errorf("shorter than %d bytes: make one with openssl rand -base64 32", secretLeast)
	}
	return secret, nil
}

// Judge implements relay.Judge. The body is not looked at.
func (h *Hook) Judge(ctx context.Context, m *relay.Message, _ io.Reader) relay.Judgement {
	var ruling relay.Ruling
	var words string
	err := h.o.Breaker.Do(func() (down bool, err error) {
		ruling, words, down, err = h.ask(ctx, m)
		return down && ctx.Err() == nil, err
	})
	if err != nil {
		err = fmt.Errorf("hook %s: %w", h.o.Name, err)
		if !errors.Is(err, relay.ErrLeftAlone) {
			h.o.Fault(relay.Fault{Doing: "ask a hook", Message: m.ID, Err: err})
		}
		ruling, words = relay.Ruling{}, "cannot be asked, and lets pass"
		if !h.o.Accept {
			ruling, words = relay.Refusal(relay.LocalError(err)), "cannot be asked, and defers"
		}
	}
	if ruling.Edits != nil && ruling.Edits.Held != "" {
		ruling.Edits.Held = "hook " + h.o.Name + ": " + ruling.Edits.Held
	}
	ruling.Trace = []relay.Verdict{{Rule: "hook " + h.o.Name, Stage: "data", Said: words}}
	return relay.Judgement{Ruling: ruling}
}

// ask posts the question and reads the answer, within the time that there is. Down says that there
// was none, not even one that makes no sense.
func (h *Hook) ask(ctx context.Context, m *relay.Message) (ruling relay.Ruling, words string, down bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.o.Timeout)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return relay.Ruling{}, "", false, errors.New("there was no turn in time: too many messages at once")
	}
	req, err := h.request(ctx, m)
	if err != nil {
		return relay.Ruling{}, "", false, err
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return relay.Ruling{}, "", true, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return relay.Ruling{}, "", true, fmt.Errorf("read its answer: %w", err)
	case resp.StatusCode == http.StatusNoContent:
		return relay.Ruling{}, "pass", false, nil
	case resp.StatusCode/100 != 2:
		return relay.Ruling{}, "", false, errors.New("it answers " + resp.Status)
	case len(text) > maxAnswer:
		return relay.Ruling{}, "", false, fmt.Errorf("its answer is longer than %d bytes", maxAnswer)
	}
	ruling, words, err = parse(text)
	return ruling, words, false, err
}

func (h *Hook) request(ctx context.Context, m *relay.Message) (*http.Request, error) {
	body, err := json.Marshal(newQuestion(m))
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.o.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "postrider")
	// A question may come twice on a connection that has ended meanwhile, and is the same then.
	id, at := "msg_"+m.ID.String(), h.o.Now()
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Idempotency-Key", id)
	if h.secret != nil {
		req.Header.Set("Webhook-Signature", sign(h.secret, id, at, body))
	}
	return req, nil
}

// sign gives the signature of Standard Webhooks.
func sign(secret []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
