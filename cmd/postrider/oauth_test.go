package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// oauthConfig writes a configuration with a person's account and an application's.
func oauthConfig(t *testing.T, endpoint string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "postrider.yaml")
	text := fmt.Sprintf(`
hostname: relay.example.com
routes:
  - name: a
    when: sender.domain == "a.example"
    hosts: ["127.0.0.1:25"]
    auth:
      user: relay@a.example
      oauth2: {provider: custom, client_id: c, token_url: "%[1]s/token", device_url: "%[1]s/device", token_file: oauth/a.json}
  - name: b
    hosts: ["127.0.0.2:25"]
    auth:
      user: relay@b.example
      oauth2: {provider: custom, client_id: c, client_secret: s, token_url: "%[1]s/token"}
`, endpoint)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func runCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetIn(strings.NewReader(""))
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestOAuth(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/device" {
			fmt.Fprint(w, `{"device_code":"d","user_code":"ABCD","verification_uri":"https://id.example/code","interval":1}`)
			return
		}
		fmt.Fprint(w, `{"access_token":"secret-a","expires_in":3600,"refresh_token":"secret-r"}`)
	}))
	defer s.Close()
	config := oauthConfig(t, s.URL)

	out, err := runCommand(t, "oauth", "status", "-c", config)
	if err == nil || !strings.Contains(out, "No relay runs") || !strings.Contains(out, "relay@a.example, a person at custom, for a") || !strings.Contains(out, "FAULT") || !strings.Contains(out, "oauth login") {
		t.Errorf("before the sign-in: %v\n%s", err, out)
	}
	// Takes the second that must pass between two polls (RFC 8628 section 3.5).
	out, err = runCommand(t, "oauth", "login", "-c", config)
	if err != nil || !strings.Contains(out, "ABCD") || !strings.Contains(out, "Signed in as relay@a.example") {
		t.Fatalf("login: %v\n%s", err, out)
	}
	out, err = runCommand(t, "oauth", "status", "-c", config, "--check")
	if err != nil || !strings.Contains(out, "As the providers say now") || !strings.Contains(out, "signed in 0s ago") || strings.Count(out, "a token that is good now was got") != 2 {
		t.Errorf("after it: %v\n%s", err, out)
	}
	out, err = runCommand(t, "oauth", "status", "-c", config, "--json")
	if err != nil || !strings.Contains(out, `"grant":"application"`) || !strings.Contains(out, `"source":"files"`) || !strings.Contains(out, `"expires":"`) {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
	if strings.Contains(out, "secret") {
		t.Errorf("a token is shown: %s", out)
	}
	for _, args := range [][]string{{"--route", "b"}, {"--route", "zzz"}} {
		if out, err := runCommand(t, append([]string{"oauth", "login", "-c", config}, args...)...); err == nil {
			t.Errorf("login %v: %s", args, out)
		}
	}
}
