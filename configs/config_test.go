package configs_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/configs"
	"postrider/inbound"
	"postrider/outbound"
	"postrider/policy"
	"postrider/relay"
	"postrider/spool"
)

var update = flag.Bool("update", false, "write the golden files anew")

func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		i := slices.Index(pairs, name)
		if i < 0 {
			return "", false
		}
		return pairs[i+1], true
	}
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// household puts the files that the examples name into a directory.
func household(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"relay.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for _, name := range []string{"tls/key.pem", "tls/other.key", "keys/example.com.s1.pem", "keys/tenant.example.s1.pem", "keys/example.com.rsa1.pem", "keys/example.com.ed1.pem"} {
		write(t, filepath.Join(dir, name), key)
	}
	for _, name := range []string{"tls/cert.pem", "tls/other.pem", "tls/clients.pem", "tls/ldap-ca.pem", "tls/auth-ca.pem"} {
		write(t, filepath.Join(dir, name), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	}
	write(t, filepath.Join(dir, "users"), "ann:$2a$10$BZBVktk9bnr3mqzm0dmf3OP.W1RrceXK3Pe3DjeL.mD0wE91re83K\n")
	write(t, filepath.Join(dir, "secrets/provider"), "pass word\n")
	return dir
}

func load(t testing.TB, text string, o configs.Overrides) (*configs.Config, error) {
	t.Helper()
	if o.LookupEnv == nil {
		o.LookupEnv = env()
	}
	if o.SystemHostname == "" {
		o.SystemHostname = "host.example"
	}
	return configs.Load(write(t, filepath.Join(t.TempDir(), "postrider.yaml"), text), o)
}

func TestExamples(t *testing.T) {
	t.Parallel()
	examples, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(examples) < 5 {
		t.Fatalf("found %v, %v", examples, err)
	}
	for _, name := range examples {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			copied := write(t, filepath.Join(household(t), filepath.Base(name)), string(text))
			c, err := configs.Load(copied, configs.Overrides{LookupEnv: env("CORP_PASSWORD", "x", "M365_SECRET", "y", "GOOGLE_SECRET", "z", "LDAP_PASSWORD", "l", "AUTH_TOKEN", "a", "SES_PASSWORD", "s", "MAILGUN_PASSWORD", "m", "ADMIN_TOKEN", "0123456789abcdef", "WEBHOOK_SECRET", "0123456789abcdef01234567")})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := outbound.New(c.Outbound); err != nil {
				t.Errorf("outbound: %v", err)
			}
		})
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	c, err := configs.Default(configs.Overrides{SystemHostname: "host.example", LookupEnv: env("STATE_DIRECTORY", "/state:/other")})
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]any{
		"hostname":  {c.Hostname, "host.example"},
		"greeting":  {c.Inbound.Hostname + c.Outbound.Hostname + c.Receiver.Hostname + c.Scheduler.Hostname + c.Policy.Hostname, strings.Repeat("host.example", 5)},
		"data":      {c.Data, "/state"},
		"spool":     {fmt.Sprint(c.Spool.Dir, c.Spool.MinFree), fmt.Sprint("/state/spool", spool.DefaultMinFree)},
		"socket":    {c.Admin.Socket, "/state/admin.sock"},
		"log":       {c.Log, configs.Log{Level: "info", Format: "auto"}},
		"listeners": {fmt.Sprint(c.Inbound.Listeners), fmt.Sprint([]inbound.Listener{{Name: "local", Address: "127.0.0.1:2525"}})},
		"allow":     {fmt.Sprint(c.Policy.Relay), "map[local:[127.0.0.0/8 ::1/128]]"},
		"routes":    {fmt.Sprint(c.Policy.Routes), fmt.Sprint([]policy.Route{{Name: "internet", MX: true, TLSOptional: true}})},
		"ways":      {fmt.Sprint(c.Outbound.Routes), fmt.Sprint([]outbound.Route{{Name: "internet", MX: true}})},
		"retry":     {c.Scheduler.Retry, relay.DefaultRetry()},
		"size":      {c.Receiver.MessageSize, int64(50_000_000)},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
	c, err = configs.Default(configs.Overrides{SystemHostname: "host.example", LookupEnv: env()})
	if err != nil || c.Data != "postrider-data" {
		t.Errorf("without $STATE_DIRECTORY: got %v, %v", c, err)
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	password := write(t, filepath.Join(t.TempDir(), "password"), "hush\n")
	const text = "hostname: file.example\nlisten: [{name: a, address: ':25', allow: [192.0.2.1]}]\nroutes: [{name: m, mx: true}]\ndata: d\n"
	c, err := load(t, text, configs.Overrides{
		Listen: []string{":2525", "unix:/run/x"}, Allow: []string{"10.0.0.0/8"}, Hostname: "flag.example", Data: "e",
		RelayHost: []string{"smtp.provider.example:587"}, RelayUser: "ann", RelayPasswordFile: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Hostname+" "+c.Data, "flag.example e"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := fmt.Sprint(c.Policy.Relay), "map[:2525:[10.0.0.0/8] unix:/run/x:[10.0.0.0/8]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	r := c.Outbound.Routes[0]
	if len(c.Outbound.Routes) != 1 || r.Hosts[0] != "smtp.provider.example:587" || *r.Auth != (outbound.Credentials{User: "ann", Password: "hush"}) || r.TLS != outbound.TLSVerify {
		t.Errorf("got %+v", r)
	}
	c, err = load(t, text, configs.Overrides{Listen: []string{":2525"}})
	if err != nil {
		t.Fatal(err)
	}
	// Whoever opens a port to the world has not yet said who may relay.
	if got, want := fmt.Sprint(c.Policy.Relay), "map[:2525:[127.0.0.0/8 ::1/128]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := c.Data; !filepath.IsAbs(got) {
		t.Errorf("data %q is not beside the file", got)
	}
}

func TestOverrideFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		overrides configs.Overrides
		want      string
	}{
		{configs.Overrides{Allow: []string{"x"}}, `command line: --allow: "x" is not a network such as 192.0.2.0/24, 2001:db8::/32 or a single address`},
		{configs.Overrides{Listen: []string{"x"}}, `configuration: listen[0].address: "x" is not an address such as 127.0.0.1:2525, :587 or unix:/run/postrider/smtp.sock`},
		{configs.Overrides{RelayUser: "x"}, `command line: --relay-user and --relay-password-file need --relay-host`},
		{configs.Overrides{RelayHost: []string{"a.example"}, RelayUser: "x"}, `command line: --relay-user and --relay-password-file belong together`},
		{configs.Overrides{RelayHost: []string{"a.example:x"}}, `command line: --relay-host a.example:x: port "x" is not in 1 to 65535`},
		{configs.Overrides{RelayHost: []string{"a.example"}, RelayUser: "x", RelayPasswordFile: "/nowhere"}, `command line: --relay-password-file: stat /nowhere: no such file or directory`},
		{configs.Overrides{Hostname: "mail"}, `configuration: hostname: "mail" is not a full name, and mail leaves this host under it: give the name that its address resolves to, such as relay.example.com, as hostname in the file or with --hostname`},
		{configs.Overrides{Hostname: "localhost", RelayHost: []string{"127.0.0.1:2626"}}, `<nil>`},
		{configs.Overrides{Hostname: "localhost", RelayHost: []string{"127.0.0.1:2626", "192.0.2.1"}}, `configuration: hostname: "localhost" is not a full name, and mail leaves this host under it: give the name that its address resolves to, such as relay.example.com, as hostname in the file or with --hostname`},
	}
	for _, test := range tests {
		test.overrides.SystemHostname, test.overrides.LookupEnv = "host.example", env()
		_, err := configs.Default(test.overrides)
		if got := fmt.Sprint(err); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	dir := household(t)
	const text = `
hostname: ${env:NAME}.example
routes:
  - {name: a, when: 'user == "a"', hosts: ["${env:HOST}:25"], auth: {user: "${env:USER}", password: "<${file:secrets/provider}>"}}
  - {name: b, hosts: [b.example], auth: {user: 12, password: 0123}}
limits: {recipients: "${env:N}", message_size: "${env:N}MB"}
`
	c, err := configs.Load(write(t, filepath.Join(dir, "c.yaml"), text), configs.Overrides{
		LookupEnv: env("NAME", "relay", "HOST", "a.example", "USER", "${env:NAME}", "N", "7"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Hostname, " ", c.Outbound.Routes[0].Hosts, " ", c.Outbound.Routes[0].Auth.User, c.Outbound.Routes[0].Auth.Password, " ",
		c.Outbound.Routes[1].Auth.User, c.Outbound.Routes[1].Auth.Password, " ", c.Receiver.Recipients, c.Receiver.MessageSize)
	if want := "relay.example [a.example:25] ${env:NAME}<pass word> 120123 77000000"; strings.ReplaceAll(got, " 7 7", " 77") != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestFaults holds what is said about each file of testdata, every fault at once.
func TestFaults(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			_, err := configs.Load(name, configs.Overrides{SystemHostname: "host.example", LookupEnv: env()})
			var faults configs.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got %v", err)
			}
			got, golden := err.Error()+"\n", strings.TrimSuffix(name, ".yaml")+".golden"
			if *update {
				write(t, golden, got)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	if _, err := configs.Load("testdata/missing.yml", configs.Overrides{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: got %v", err)
	}
	if _, err := load(t, strings.Repeat("#\n", 3<<20), configs.Overrides{}); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("large: got %v", err)
	}
}

func TestShape(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"long line":    {"a: " + strings.Repeat("- ", 100_000), "1:1: a line of more than 32768 bytes"},
		"deep":         {"\na: " + strings.Repeat("[\n", 101), "102:1: brackets nested more than 100 deep"},
		"not too deep": {"a: " + strings.Repeat("[", 99), "sequence end token ']' not found"},
		"list":         {"- a\n- b\n", "1:1: want a mapping of keys to values"},
		"text":         {"hello", "1:1: want a mapping of keys to values"},
		"far right":    {"hostname: a.example # " + strings.Repeat("x", 500) + "\nrules: [" + strings.Repeat("{name: a, at: mail, accept: true}, ", 20) + "x]", "2:709: rules[20]: want a mapping"},
	} {
		_, err := load(t, test.text, configs.Overrides{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %.300v", name, err)
		}
		if err != nil && len(err.Error()) > 12_000 {
			t.Errorf("%s: %d bytes about it", name, len(err.Error()))
		}
	}
}

func TestEmptyIsDefault(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "---\n", "dkim:\n#  - {}\nrules:\n", "{}"} {
		c, err := load(t, text, configs.Overrides{Data: "d"})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		want, err := configs.Default(configs.Overrides{Data: "d", SystemHostname: "host.example", LookupEnv: env()})
		if err != nil {
			t.Fatal(err)
		}
		c.Forget()
		want.Forget()
		if got, want := fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", want); got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func TestRouteTLS(t *testing.T) {
	t.Parallel()
	tests := []struct {
		route string
		want  outbound.TLSLevel
		plain bool
	}{
		{`mx: true`, outbound.TLSMay, false},
		{`hosts: [a.example], tls: required`, outbound.TLSEncrypt, false},
		{`hosts: [a.example], tls: encrypt`, outbound.TLSEncrypt, false},
		{`hosts: [a.example], tls: none`, outbound.TLSNone, false},
		{`hosts: [a.example], auth: {user: u, password: p}`, outbound.TLSVerify, false},
		{`hosts: [a.example], auth: {user: u, password: p, plain: true}`, outbound.TLSMay, true},
		{`hosts: [a.example], tls: encrypt, auth: {user: u, password: p, plain: true}`, outbound.TLSEncrypt, true},
		{`hosts: ["127.0.0.1:2525", "[::1]", localhost], auth: {user: u, password: p}`, outbound.TLSMay, false},
	}
	for _, test := range tests {
		c, err := load(t, "routes: [{name: a, "+test.route+"}]", configs.Overrides{})
		if err != nil {
			t.Errorf("%s: %v", test.route, err)
			continue
		}
		if r := c.Outbound.Routes[0]; r.TLS != test.want || r.PlainAuth != test.plain {
			t.Errorf("%s: got %s, %t", test.route, r.TLS, r.PlainAuth)
		}
	}
}
