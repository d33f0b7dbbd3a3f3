package admin

import (
	"context"
	"net/http"
	"time"
)

// OAuthToken is how the access token of an account is that routes send as. None of its fields is a secret.
type OAuthToken struct {
	// User is the account. Provider and Grant are the configuration's words for where and how its
	// tokens are got.
	User     string   `json:"user"`
	Provider string   `json:"provider"`
	Grant    string   `json:"grant"`
	Routes   []string `json:"routes"`
	// TokenFile is where the refresh token of a person is.
	TokenFile string `json:"token_file,omitempty"`
	// Granted is when a person signed in, Renewed when the refresh token last changed, Refreshed when
	// the access token was got, and Expires until when it is good. Each is zero when it is not known.
	Granted   time.Time `json:"granted,omitzero"`
	Renewed   time.Time `json:"renewed,omitzero"`
	Refreshed time.Time `json:"refreshed,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
	// Fault is why the latest try to get a token failed, and Failed when.
	Fault  string    `json:"fault,omitempty"`
	Failed time.Time `json:"failed,omitzero"`
}

func (s *Server) tokens(w http.ResponseWriter, _ *http.Request) {
	all := []OAuthToken{}
	if s.o.OAuthTokens != nil {
		all = append(all, s.o.OAuthTokens()...)
	}
	answer(w, all)
}

// OAuthTokens shows the accounts that routes send as, each once.
func (c *Client) OAuthTokens(ctx context.Context) ([]OAuthToken, error) {
	var v []OAuthToken
	err := c.decode(ctx, "/v1/tokens", &v)
	return v, err
}
