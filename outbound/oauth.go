package outbound

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"
)

// OAuth says how the access tokens of an account are got (RFC 6749). Which grant is used
// follows from what is given: a TokenFile is a refresh token that a person consented to, a
// KeyFile a service account (RFC 7523), and else the client speaks for itself with its secret.
type OAuth struct {
	// Provider fills in the addresses and scopes: "microsoft", "google" or "custom".
	Provider string
	// Tenant is the directory of the account at Microsoft: its ID or a domain of it.
	Tenant string
	// ClientID and ClientSecret are the application's. A public client has no secret.
	ClientID, ClientSecret string
	// TokenFile keeps the refresh token. Login writes it first, and every refresh that
	// changes it writes it again.
	TokenFile string
	// KeyFile is the JSON key of a Google service account with domain-wide delegation.
	KeyFile string
	// TokenURL, DeviceURL and AuthURL are the endpoints of a custom provider; elsewhere they
	// replace the provider's own.
	TokenURL, DeviceURL, AuthURL string
	// Scopes are what is asked for. Default: sending mail, as the provider calls it.
	Scopes []string
}

// The providers.
const (
	providerMicrosoft = "microsoft"
	providerGoogle    = "google"
	providerCustom    = "custom"
)

// Providers are the words that OAuth.Provider may be.
func Providers() []string { return []string{providerMicrosoft, providerGoogle, providerCustom} }

// interactive says whether a person has to sign in once.
func (o *OAuth) interactive() bool { return o.TokenFile != "" }

// complete returns a copy with what the provider implies filled in.
func (o OAuth) complete() OAuth {
	switch o.Provider {
	case providerMicrosoft:
		base := "https://login.microsoftonline.com/" + url.PathEscape(o.Tenant) + "/oauth2/v2.0/"
		setDefault(&o.TokenURL, base+"token")
		setDefault(&o.DeviceURL, base+"devicecode")
		if len(o.Scopes) > 0 {
			break
		}
		// The scope of an application is all that the administrator has consented to.
		o.Scopes = []string{"https://outlook.office365.com/.default"}
		if o.interactive() {
			o.Scopes = []string{"https://outlook.office.com/SMTP.Send", "offline_access"}
		}
	case providerGoogle:
		setDefault(&o.TokenURL, "https://oauth2.googleapis.com/token")
		setDefault(&o.AuthURL, "https://accounts.google.com/o/oauth2/v2/auth")
		if len(o.Scopes) == 0 {
			o.Scopes = []string{"https://mail.google.com/"}
		}
	}
	return o
}

// Validate says what is wrong with the settings, everything at once.
func (o *OAuth) Validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("OAuth2: "+format, args...))
		}
	}
	fault(!slices.Contains(Providers(), o.Provider), "%q is not a provider: want %s", o.Provider, strings.Join(Providers(), ", "))
	fault(o.Provider == providerMicrosoft && o.Tenant == "" && o.TokenURL == "", "microsoft needs a tenant")
	fault(o.Provider == providerCustom && o.TokenURL == "", "a custom provider needs a token_url")
	fault(o.KeyFile != "" && o.TokenFile != "", "both a token_file and a key_file")
	fault(o.KeyFile == "" && o.ClientID == "", "a client_id is needed")
	fault(o.KeyFile != "" && o.Provider != providerGoogle, "a key_file is for google")
	own := o.KeyFile == "" && !o.interactive()
	fault(own && o.Provider == providerGoogle, "google needs a token_file, or the key_file of a service account")
	fault(own && o.Provider != providerGoogle && o.ClientSecret == "", "a client_secret is needed, or a token_file for the account of a person")
	for _, text := range []string{o.TokenURL, o.DeviceURL, o.AuthURL} {
		fault(text != "" && !isSecureURL(text), "%q is not an https URL", text)
	}
	return errors.Join(faults...)
}

// isSecureURL accepts https, and http on this host: tokens are secrets.
func isSecureURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return false
	}
	host := u.Hostname()
	return u.Scheme == "https" || u.Scheme == "http" && (host == "127.0.0.1" || host == "::1" || host == "localhost")
}

// key names the account: those with the same key share one token.
func (o *OAuth) key(user string) string {
	return strings.Join([]string{user, o.Provider, o.Tenant, o.ClientID, o.TokenFile, o.KeyFile, o.TokenURL, strings.Join(o.Scopes, " ")}, "\x00")
}

// config is the library's form.
func (o *OAuth) config() *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, Scopes: o.Scopes,
		Endpoint: oauth2.Endpoint{
			TokenURL: o.TokenURL, DeviceAuthURL: o.DeviceURL, AuthURL: o.AuthURL,
			// Said rather than tried out: a probe would spend a refresh token that rotates.
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

// grant asks the token endpoint for an access token for the user.
func (o *OAuth) grant(ctx context.Context, client *http.Client, user, refresh string) (*oauth2.Token, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
	switch {
	case o.interactive():
		return o.config().TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	case o.KeyFile != "":
		c, err := o.serviceAccount(user)
		if err != nil {
			return nil, err
		}
		return c.TokenSource(ctx).Token()
	}
	c := clientcredentials.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, TokenURL: o.TokenURL,
		Scopes: o.Scopes, AuthStyle: oauth2.AuthStyleInParams,
	}
	return c.Token(ctx)
}

// serviceAccount reads the key of a service account that speaks for the user.
func (o *OAuth) serviceAccount(user string) (*jwt.Config, error) {
	text, err := os.ReadFile(o.KeyFile)
	if err != nil {
		return nil, err
	}
	var key struct {
		Email string `json:"client_email"`
		ID    string `json:"private_key_id"`
		Key   string `json:"private_key"`
	}
	if err := json.Unmarshal(text, &key); err != nil || key.Email == "" || key.Key == "" {
		return nil, fmt.Errorf("%s is not the JSON key of a service account", o.KeyFile)
	}
	return &jwt.Config{
		Email: key.Email, PrivateKey: []byte(key.Key), PrivateKeyID: key.ID,
		Subject: user, Scopes: o.Scopes, TokenURL: o.TokenURL,
	}, nil
}
