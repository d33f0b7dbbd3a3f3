package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/dkim"
)

// postrider runs a command line and gives what it prints.
func postrider(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// A key is made, shown, let sign and replaced with the commands alone.
func TestDKIMCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	config := filepath.Join(dir, "postrider.yaml")
	if err := os.WriteFile(config, []byte("hostname: relay.example.com\ndkim:\n  - directory: keys\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		args, want string
		fails      bool
	}{
		{"dkim record", "no keys", true},
		{"dkim keygen shop.example --dry-run", "Would make a key of shop.example with the selector rsa", false},
		{"dkim keygen Shop.Example --selector s1", "Name:  s1._domainkey.shop.example\nType:  TXT\nText:  v=DKIM1; k=rsa; p=", false},
		{"dkim keygen shop.example --selector s1", "file already exists", true},
		{"explain --offline --from a@shop.example --to b@c.example", "Not signed: no key that is for this mail signs", false},
		{"dkim keygen shop.example --selector e1 --type ed25519", "k=ed25519", false},
		{"dkim keygen shop.example --type dsa", `"dsa" is not a kind of key`, true},
		{"dkim keygen shop", "is not a domain name", true},
		{"dkim rotate shop.example --dry-run --activate", "shop.example, s1: would be activated", false},
		{"dkim rotate --activate", "shop.example, s1: activated", false},
		{"dkim rotate --every 30d", "There is nothing to do.", false},
		{"dkim rotate --json shop.example", `{"done":"created"`, false},
		{"dkim rotate other.example", "other.example has no keys", true},
		{"dkim rotate --overlap soon", `--overlap: "soon" is not a duration`, true},
		{"dkim record shop.example --zone", "s1._domainkey.shop.example.\tIN\tTXT\t( \"v=DKIM1; k=rsa", false},
		{"dkim record shop.example --json", `"name":"e1._domainkey.shop.example","type":"TXT"`, false},
		{"dkim record other.example", "no key for other.example", true},
		{"check", "the DKIM keys in ", false},
	}
	for _, step := range steps {
		out, err := postrider(t, append(strings.Fields(step.args), "--config", config)...)
		if err != nil {
			out += err.Error()
		}
		if (err != nil) != step.fails || !strings.Contains(out, step.want) {
			t.Errorf("%s: got %q, %v, want %q", step.args, out, err, step.want)
		}
	}
	info, err := os.Stat(filepath.Join(keys, "shop.example", "s1.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	file := filepath.Join(dir, "own.pem")
	out, err := postrider(t, "dkim", "keygen", "shop.example", "--out", file, "--selector", "s9")
	if _, missing := os.Stat(file); err != nil || missing != nil || !strings.Contains(out, "{domain: shop.example, selector: s9, key: "+file+"}") {
		t.Errorf("got %q, %v, %v", out, err, missing)
	}
}

// The exit code speaks of the keys that sign.
func TestDKIMCheck(t *testing.T) {
	t.Parallel()
	r := dkim.Rotation{Directory: t.TempDir(), Domain: "shop.example", Now: time.Now(), Activate: true}
	active, err := r.AddKey(dkim.KindEd25519, 0, "now")
	if err != nil {
		t.Fatal(err)
	}
	r.Activate = false
	if _, err := r.AddKey(dkim.KindEd25519, 0, "soon"); err != nil {
		t.Fatal(err)
	}
	entries, err := dkim.List(dkim.Options{Keys: []dkim.Key{{Directory: r.Directory}}})
	if err != nil {
		t.Fatal(err)
	}
	dns := map[string]string{}
	lookup := func(_ context.Context, name string) ([]string, error) {
		if text, ok := dns[strings.TrimSuffix(name, ".")]; ok {
			return []string{text}, nil
		}
		return nil, &net.DNSError{IsNotFound: true}
	}
	var out strings.Builder
	if err := checkEntries(t.Context(), &out, entries, lookup, false); !errors.Is(err, errPublished) {
		t.Errorf("nothing is published: %v", err)
	}
	dns[active.Record.Name] = active.Record.Text
	out.Reset()
	if err := checkEntries(t.Context(), &out, entries, lookup, false); err != nil {
		t.Errorf("the key that signs is published: %v", err)
	}
	for _, want := range []string{"published  now._domainkey.shop.example (ed25519, active)", "missing    soon._domainkey.shop.example (ed25519, pending)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
	out.Reset()
	if err := checkEntries(t.Context(), &out, entries, lookup, true); err != nil || !strings.Contains(out.String(), `"publication":"published"`) {
		t.Errorf("got %s, %v", out.String(), err)
	}
}
