package configs_test

import (
	"os"
	"path/filepath"
	"testing"

	"postrider/configs"
)

// Operators reach a relay that runs while its file has faults, and only where the file says where.
func TestLoadPlaces(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, socket string }{
		"good":                  {"data: /var/lib/postrider\n", "/var/lib/postrider/admin.sock"},
		"a socket of its own":   {"data: /data\nadmin: {socket: /run/p.sock}\nwrong: 1\n", "/run/p.sock"},
		"an unknown key":        {"data: /data\nrotes: []\n", "/data/admin.sock"},
		"no environment":        {"data: /data\nroutes: [{name: a, hosts: [\"a:25\"], auth: {user: a, password: \"${env:NOT_HERE}\"}}]\n", "/data/admin.sock"},
		"a rule that is wrong":  {"data: /data\nrules: [{name: a, at: data, when: 'sise > 1', reject: \"550 5.7.1 no\"}]\n", "/data/admin.sock"},
		"nothing of the data":   {"wrong: 1\n", ""},
		"data that cannot be":   {"data: ${env:NOT_HERE}\n", ""},
		"a socket without name": {"data: /data\nadmin: {socket: \"${env:NOT_HERE}\"}\n", ""},
		"no YAML":               {"data: /data\n\tlisten: [\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "postrider.yaml")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			o := configs.Overrides{LookupEnv: func(string) (string, bool) { return "", false }}
			got := ""
			if p := configs.LoadPlaces(file, o); p != nil {
				got = p.Admin.Socket
			}
			if got != c.socket {
				t.Errorf("got %q, want %q", got, c.socket)
			}
		})
	}
	if configs.LoadPlaces(filepath.Join(t.TempDir(), "none"), configs.Overrides{}) != nil {
		t.Error("a file that is not there gives places")
	}
}
