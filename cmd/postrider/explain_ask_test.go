package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postrider/configs"
	"postrider/relay"
)

// With the user's password the store that knows the user is asked, as the relay would, and what it says
// of the user holds.
func TestExplainAsksForUsers(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ User, Password, Listener string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Listener != "app" {
			t.Errorf("asked %+v, %v", q, err)
		}
		switch q.Password {
		case "pass-right":
			io.WriteString(w, `{"ok": true, "user": "shop", "senders": ["@shop.example"]}`)
		case "pass-wrong":
			io.WriteString(w, `{"ok": false}`)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer service.Close()
	dir := t.TempDir()
	name := filepath.Join(dir, "c.yaml")
	for file, text := range map[string]string{
		name:                         strings.Replace(explained, "rules:\n", "users: {http: {url: \""+service.URL+"\"}}\nrules:\n  - {name: his, at: mail, when: 'user == \"shop\"', tag: [his]}\n", 1),
		filepath.Join(dir, "right"):  "pass-right\n",
		filepath.Join(dir, "wrong"):  "pass-wrong\n",
		filepath.Join(dir, "broken"): "pass-broken\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ password, from, want string }{
		{"right", "a@shop.example", "Answer to DATA: 250"},
		{"right", "a@other.example", "Answer to MAIL: 5"},
		{"wrong", "a@shop.example", "Answer to AUTH: 535 5.7.8"},
		{"broken", "a@shop.example", "Answer to AUTH: 454 4.7.0"},
		{"", "a@other.example", "Answer to DATA: 250"},
	} {
		args := []string{"explain", "--offline", "--config", name, "--user", "Shop", "--from", tt.from, "--to", "c@d.example"}
		if tt.password != "" {
			args = append(args, "--password-file", filepath.Join(dir, tt.password))
		}
		out, err := command(t, args...)
		if err != nil || !strings.Contains(out, tt.want) || strings.Contains(out, "pass-") {
			t.Errorf("%q from %s: got %v, want %s in\n%s", tt.password, tt.from, err, tt.want, out)
		}
		if got, want := strings.Contains(out, "his: tag his"), strings.Contains(tt.want, "DATA") && tt.password != ""; got != want {
			t.Errorf("%q: the rule for the user as the service names him matches: %t, want %t", tt.password, got, want)
		}
	}
	if _, err := command(t, "explain", "--config", name, "--password-file", filepath.Join(dir, "right"), "--to", "c@d.example"); err == nil {
		t.Error("a password of nobody is no error")
	}
}

// unwanted refuses those whose local part is gone.
type unwanted struct{}

func (unwanted) Suppressed(_ *relay.Message, to relay.Address) *relay.Reply {
	if to.Local != "gone" {
		return nil
	}
	return relay.NewReply(550, relay.EnhancedCode{5, 1, 1}, "Recipient suppressed here").For(relay.ReasonSuppressed)
}

// Who is suppressed is refused; whom a rule adds at data is looked up too, and told of.
func TestExplainSuppressions(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "c.yaml")
	text := strings.Replace(explained, "rules:\n", "rules:\n  - {name: copy, at: data, bcc: [gone@archive.example]}\n", 1)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := configs.Load(name, configs.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := explainMessage(t.Context(), config, question{from: "a@b.example", to: []string{"c@d.example", "gone@d.example"}, suppressions: unwanted{}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(e.Refused, []string{"gone@d.example: 550 5.1.1 Recipient suppressed here"}) ||
		!slices.Equal(e.Suppressed, []string{"gone@archive.example: Recipient suppressed here"}) || !strings.HasPrefix(e.Reply, "250 ") {
		t.Errorf("refused %q, suppressed %q, reply %s", e.Refused, e.Suppressed, e.Reply)
	}
}
