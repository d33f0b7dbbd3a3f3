package admin_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"postrider/relay/admin"
)

// What the dashboard reads is there over TCP, for reading.
func TestDashboardRoutes(t *testing.T) {
	t.Parallel()
	s := serveWith(t, 1, func(o *admin.Options) { o.Config = func() string { return "hostname: x\n" } })
	for path, want := range map[string]string{
		"/v1/connections": `{"sites":[],"attempts":[]}`, "/v1/trend": "[]", "/v1/trend?span=day": "[]", "/v1/config": `{"text":"hostname: x\n"}`,
		"/v1/session": `{"sign_in":false,"changes":false,"tokens":false}`, "/": "<title>Postrider</title>",
	} {
		text, err := io.ReadAll(s.get(t, path, nil).Body)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) || strings.HasPrefix(path, "/v1") && !json.Valid(text) {
			t.Errorf("%s: got %s, want %s", path, text, want)
		}
	}
}
