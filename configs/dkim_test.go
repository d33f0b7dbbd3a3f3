package configs_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/configs"
	"postrider/dkim"
)

func TestDKIM(t *testing.T) {
	t.Parallel()
	dir := household(t)
	file := write(t, filepath.Join(dir, "postrider.yaml"), `
dkim:
  - {domain: example.com, selector: s1, key: keys/example.com.s1.pem}
  - directory: keys/domains
    subdomains: false
    match: [from, envelope]
    headers: [From, Subject]
    expires: 7d
    canonicalization: relaxed/simple
  - {domain: example.com, selector: s2, key: keys/example.com.rsa1.pem, subdomains: true, users: [shop], identity: "@shop.example.com"}
`)
	c, err := configs.Load(file, configs.Overrides{SystemHostname: "host.example", LookupEnv: env()})
	if err != nil {
		t.Fatal(err)
	}
	want := []dkim.Key{
		{Domain: "example.com", Selector: "s1", Path: filepath.Join(dir, "keys/example.com.s1.pem")},
		{Directory: filepath.Join(dir, "keys/domains"), Exact: true, Match: []string{"from", "envelope"}, Headers: []string{"From", "Subject"},
			Expires: 7 * 24 * time.Hour, Canonicalization: "relaxed/simple"},
		{Domain: "example.com", Selector: "s2", Path: filepath.Join(dir, "keys/example.com.rsa1.pem"), Users: []string{"shop"}, Identity: "@shop.example.com"},
	}
	if got := fmt.Sprintf("%+v", c.DKIM.Keys); got != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %s\nwant %+v", got, want)
	}
}

func TestDKIMFaults(t *testing.T) {
	t.Parallel()
	const good = `{domain: example.com, selector: s1, key: keys/example.com.s1.pem, `
	for _, test := range []struct{ entry, want string }{
		{good + `directory: keys}`, "stands in place of domain, selector and key"},
		{good + `match: [to]}`, `"to" is not from, sender or envelope`},
		{good + `match: [from], users: [a]}`, "has no use beside users"},
		{good + `headers: [Received]}`, "Received must not be signed"},
		{good + `headers: ["a b"]}`, "is not the name of a header field"},
		{good + `identity: "@example.org"}`, "is not in example.com or below"},
		{good + `identity: "a;b@example.com"}`, "is not an identity"},
		{good + `canonicalization: nofws/simple}`, "is not relaxed/relaxed"},
		{good + `subdomain: true}`, "did you mean"},
	} {
		dir := household(t)
		file := write(t, filepath.Join(dir, "postrider.yaml"), "dkim:\n  - "+test.entry+"\n")
		_, err := configs.Load(file, configs.Overrides{SystemHostname: "host.example", LookupEnv: env()})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), ":3:") && !strings.Contains(err.Error(), ":2:") {
			t.Errorf("%s: got %v, want %s", test.entry, err, test.want)
		}
	}
}

// A rule that names a key which is not there is found before mail goes out unsigned.
func TestSignWith(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"example.com": "", "Example.com": "", "s1._domainkey.example.com": "", "none": "",
		"example.org": `:5:`, "s2._domainkey.example.com": `there is no DKIM key "s2._domainkey.example.com"`,
	} {
		dir := household(t)
		file := write(t, filepath.Join(dir, "postrider.yaml"), "dkim:\n  - {domain: example.com, selector: s1, key: keys/example.com.s1.pem}\n"+
			"rules:\n  - name: r\n    sign_with: ["+name+"]\n    at: data\n")
		_, err := configs.Load(file, configs.Overrides{SystemHostname: "host.example", LookupEnv: env()})
		if got := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

// The command that makes a key has to read a configuration that names it already.
func TestKeysToCome(t *testing.T) {
	t.Parallel()
	dir := household(t)
	file := write(t, filepath.Join(dir, "postrider.yaml"), "dkim:\n  - directory: keys/domains\n  - {domain: example.org, selector: s1, key: keys/new.pem}\n"+
		"rules:\n  - {name: r, at: data, sign_with: [s2._domainkey.example.com]}\n")
	o := configs.Overrides{SystemHostname: "host.example", LookupEnv: env()}
	_, err := configs.Load(file, o)
	if want := "to make it, postrider dkim keygen example.org --selector s1 --out " + filepath.Join(dir, "keys/new.pem"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	o.KeysToCome = true
	if _, err := configs.Load(file, o); err != nil {
		t.Errorf("with keys to come: %v", err)
	}
	o.KeysToCome = false
	write(t, file, "dkim:\n  - directory: keys/domains\nrules:\n  - {name: r, at: data, sign_with: [s2._domainkey.example.com]}\n")
	_, err = configs.Load(file, o)
	if want := "to make it, postrider dkim keygen example.com --selector s2 --config " + file; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
