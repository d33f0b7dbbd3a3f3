package configs_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"postrider/configs"
	"postrider/relay/admin"
)

// Strangers cannot reach the operators' address without a token, nor overhear one.
func TestAdmin(t *testing.T) {
	t.Parallel()
	const token = `tokens: [{name: ops, token: 0123456789abcdef}]`
	for _, tt := range []struct{ yaml, fault string }{
		{`http: "127.0.0.1:8025"`, ""},
		{`http: "[::1]:8025"`, ""},
		{`http: "127.0.0.1:8025", ` + token, ""},
		{`http: "127.0.0.1"`, "not an address"},
		{`http: ":8025"`, "set tokens and tls"},
		{`http: ":8025", ` + token, "set tokens and tls"},
		{`http: ":8025", tls: {cert: c.pem, key: k.pem}`, "set tokens and tls"},
		{`http: "127.0.0.1:8025", tls: {cert: c.pem, key: k.pem}`, "c.pem"},
		{`http: "127.0.0.1:8025", tokens: [{token: 0123456789abcdef}]`, "needs a name"},
		{`http: "127.0.0.1:8025", tokens: [{name: ops, token: short}]`, "shorter than"},
		{`http: "127.0.0.1:8025", tokens: [{name: a, token: 0123456789abcdef}, {name: a, token: 0123456789abcdef}]`, "there already"},
	} {
		_, err := loadAdmin(t, tt.yaml)
		if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s: got %v, want %q", tt.yaml, err, tt.fault)
		}
	}
}

func TestAdminComposed(t *testing.T) {
	t.Parallel()
	c, err := loadAdmin(t, `socket: /run/p.sock, http: "127.0.0.1:8025", tokens: [{name: ops, token: "${file:t}", read_only: true}]`)
	if err != nil {
		t.Fatal(err)
	}
	want := configs.Admin{Socket: "/run/p.sock", HTTP: "127.0.0.1:8025", Tokens: []admin.Token{{Name: "ops", Secret: "from-a-file-01234", ReadOnly: true}}}
	if !reflect.DeepEqual(c.Admin, want) {
		t.Errorf("got %+v, want %+v", c.Admin, want)
	}
}

func loadAdmin(t *testing.T, yaml string) (*configs.Config, error) {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "p.yaml")
	text := "hostname: relay.example.com\nadmin: {" + yaml + "}\n"
	for file, content := range map[string]string{name: text, filepath.Join(dir, "t"): "from-a-file-01234\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return configs.Load(name, configs.Overrides{Data: dir})
}
