package admin_test

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"postrider/relay/admin"
)

// Readers see how the tokens of accounts are; a relay without accounts says that there are none.
func TestOAuthTokens(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	want := []admin.OAuthToken{
		{User: "a@one.test", Provider: "google", Grant: "person", Routes: []string{"x", "y"}, TokenFile: "/t", Granted: at, Renewed: at, Refreshed: at, Expires: at.Add(time.Hour)},
		{User: "b@one.test", Provider: "microsoft", Grant: "application", Routes: []string{"z"}, Fault: "451 no", Failed: at},
	}
	s := serveWith(t, 0, func(o *admin.Options) { o.OAuthTokens = func() []admin.OAuthToken { return want } })
	if got, err := s.client.OAuthTokens(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	resp, err := http.Get("http://" + s.addr + "/v1/tokens")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a reader over TCP: %s", resp.Status)
	}
	if got, err := serve(t, 0).client.OAuthTokens(t.Context()); err != nil || got == nil || len(got) != 0 {
		t.Errorf("without accounts: %v, %v", got, err)
	}
}
