package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postrider/outbound"
)

// provider is an OAuth2 server for sign-ins, reached without a network.
type provider struct {
	// pending is how many polls find that the person has not consented yet.
	pending int
	denied  bool
	// challenge is what the browser brought.
	challenge, redirect string
	refresh             string
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	switch {
	case r.URL.Path == "/device":
		fmt.Fprintf(w, `{"device_code":"d","user_code":"ABCD-EFGH","verification_uri":"https://id.test/code","interval":5,"expires_in":900}`)
	case p.denied:
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"access_denied"}`)
	case p.pending > 0:
		p.pending--
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"authorization_pending"}`)
	case form.Get("grant_type") == "authorization_code" &&
		(form.Get("code") != "c" || form.Get("redirect_uri") != p.redirect || form.Get("code_verifier") == "" || p.challenge == ""):
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
	default:
		fmt.Fprintf(w, `{"access_token":"a","token_type":"Bearer","expires_in":3600,"refresh_token":%q}`, p.refresh)
	}
	return w.Result(), nil
}

func signIn(t *testing.T, p *provider, o outbound.OAuth, l outbound.Login) (outbound.Token, error) {
	t.Helper()
	o.Provider, o.ClientID, o.TokenURL = "custom", "client", "https://id.test/token"
	o.TokenFile = filepath.Join(t.TempDir(), "oauth", "token.json")
	l.HTTP = &http.Client{Transport: p}
	c := &outbound.Credentials{User: "relay@example.test", OAuth: &o}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	got, err := l.SignIn(t.Context(), c)
	if err != nil {
		if _, onDisk := os.Stat(o.TokenFile); onDisk == nil {
			t.Error("a sign-in that failed left a token")
		}
		return got, err
	}
	stored, err := outbound.ReadToken(o.TokenFile)
	if err != nil || stored.Refresh != got.Refresh || stored.User != c.User || stored.Granted.IsZero() {
		t.Errorf("stored %v, %v", stored, err)
	}
	// And it can be used at once.
	if err := c.Check(t.Context(), l.HTTP, time.Now); err != nil {
		t.Errorf("check: %v", err)
	}
	return got, nil
}

func TestDeviceLogin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		p    provider
		want string
	}{
		{"consent", provider{pending: 2, refresh: "r"}, ""},
		{"denied", provider{denied: true}, "access_denied"},
		{"no refresh token", provider{}, "no refresh token"},
		{"too late", provider{pending: 1000}, "deadline"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var shown string
				got, err := signIn(t, &tt.p, outbound.OAuth{DeviceURL: "https://id.test/device"}, outbound.Login{Show: func(text string) { shown += text }})
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				if !strings.Contains(shown, "https://id.test/code") || !strings.Contains(shown, "ABCD-EFGH") {
					t.Errorf("shown: %q", shown)
				}
				if err == nil && (got.Refresh != "r" || strings.Contains(fmt.Sprintf("%v %+v %#v", got, got, got), "refresh:r")) {
					t.Errorf("token %v", got)
				}
			})
		})
	}
}

// The browser comes back to this host, or the person pastes where it was sent.
func TestBrowserLogin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		pasted bool
		answer func(state string) string
		want   string
	}{
		{"comes back", false, func(state string) string { return "?code=c&state=" + state }, ""},
		{"pasted", true, func(state string) string { return "?code=c&state=" + state }, ""},
		{"denied", false, func(state string) string { return "?error=access_denied&state=" + state }, "access_denied"},
		{"other code", true, func(state string) string { return "?code=x&state=" + state }, "invalid_grant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &provider{refresh: "r"}
			pasted := make(chan string, 3)
			show := func(text string) {
				link := regexp.MustCompile(`https://id\.test/auth\?\S+`).FindString(text)
				u, err := url.Parse(link)
				if err != nil || link == "" {
					return // a remark about what was pasted
				}
				q := u.Query()
				p.challenge, p.redirect = q.Get("code_challenge"), q.Get("redirect_uri")
				if q.Get("access_type") != "offline" || q.Get("code_challenge_method") != "S256" {
					t.Errorf("asked for %v", q)
				}
				back := p.redirect + tt.answer(q.Get("state"))
				if tt.pasted {
					pasted <- "nonsense"
					pasted <- p.redirect + "?code=c&state=forged"
					pasted <- back + "\n"
					return
				}
				for _, link := range []string{p.redirect + "?code=x&state=forged", back} {
					go func() {
						if r, err := http.Get(link); err == nil {
							r.Body.Close()
						}
					}()
				}
			}
			_, err := signIn(t, p, outbound.OAuth{AuthURL: "https://id.test/auth"}, outbound.Login{Show: show, Pasted: pasted})
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLoginOf(t *testing.T) {
	t.Parallel()
	c := &outbound.Credentials{User: "u", OAuth: &outbound.OAuth{Provider: "microsoft", Tenant: "t", ClientID: "c", ClientSecret: "s"}}
	if _, err := (outbound.Login{}).SignIn(context.Background(), c); !errors.Is(err, outbound.ErrNotInteractive) {
		t.Errorf("an application: %v", err)
	}
	if _, err := signIn(t, &provider{}, outbound.OAuth{}, outbound.Login{}); err == nil || !strings.Contains(err.Error(), "device_url") {
		t.Errorf("nowhere to sign in: %v", err)
	}
}
