package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/configs"
	"postrider/inbound/auth"
)

const withUsers = `hostname: relay.example.com
data: data
listen: [{name: a, address: ":587", auth: required, tls: {cert: tls/cert.pem, key: tls/key.pem}}]
limits: {auth_failures: 5/10m}
`

func loadUsers(t *testing.T, text string) (auth.Options, error) {
	t.Helper()
	c, err := configs.Load(write(t, filepath.Join(household(t), "postrider.yaml"), text), configs.Overrides{LookupEnv: env()})
	if err != nil {
		return auth.Options{}, err
	}
	return c.Inbound.Users, nil
}

func TestUsers(t *testing.T) {
	t.Parallel()
	o, err := loadUsers(t, withUsers+`users:
  ldap: {urls: ["ldaps://ldap.example.com"], filter: "(uid={user})", base: "dc=example", senders: mail, bind_dn: "cn=x", bind_password: "${file:secrets/provider}", timeout: 2s, starttls: true}
  http: {url: "https://auth.example.com", token: t, ca: tls/auth-ca.pem, connections: 3}
  mechanisms: [login]
  from_header: true
  cache: 0s
`)
	if err != nil {
		t.Fatal(err)
	}
	l, h := o.LDAP, o.HTTP
	if l == nil || l.URLs[0] != "ldaps://ldap.example.com" || l.BindPassword != "pass word" || l.SenderAttribute != "mail" || l.Timeout != 2*time.Second || !l.StartTLS || l.Connections != 8 {
		t.Errorf("ldap is %+v", l)
	}
	if h == nil || h.Token != "t" || !strings.HasSuffix(h.CAFile, "/tls/auth-ca.pem") || h.Connections != 3 || h.Timeout != 5*time.Second {
		t.Errorf("http is %+v", h)
	}
	if o.File != "" || o.Mechanisms[0] != auth.Login || !o.FromHeader || o.CacheTTL >= 0 || o.Failures != (auth.Rate{N: 5, Per: 10 * time.Minute}) {
		t.Errorf("users are %+v", o)
	}
	if o, err = loadUsers(t, strings.Replace(withUsers, "5/10m", "off", 1)+"users: {file: users}\n"); err != nil || o.LDAP != nil || o.HTTP != nil || o.CacheTTL != time.Minute || o.Failures.N >= 0 {
		t.Errorf("with a file alone: %+v, %v", o, err)
	}
}

func TestUsersFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ users, want string }{
		{"", "listen[0].auth: needs users: {file: ...}, or ldap or http in users"},
		{"users: {file: missing}", "users.file: stat"},
		{"users: {file: tls/key.pem}", "line 1: want name:secret[:options]"},
		{"users: {file: users, mechanisms: [cram-md5]}", `users.mechanisms[0]: "CRAM-MD5" is not PLAIN, LOGIN or SCRAM-SHA-256`},
		{"users: {http: {url: \"http://auth.example.com\"}}", "users.http: http://auth.example.com would show passwords to the network"},
		{"users: {http: {url: \"https://x\", ca: tls/none.pem}}", "users.http: open"},
		{"users: {ldap: {urls: [\"ldaps://x\"]}}", "users.ldap: needs either user_dn or filter"},
		{"users: {ldap: {urls: [\"ldap://x\"], user_dn: \"uid={user}\"}}", "users.ldap: ldap://x would show passwords"},
		{"users: {file: users}\nlisten: [{name: a, address: \":25\", auth: required}]", "listen[0].auth: needs tls"},
		{"users: {file: users}\nlisten: [{name: a, address: \"127.0.0.1:25\", auth: required, auth_insecure: never}]", "listen[0].auth: needs tls"},
		{"users: {file: users}\nlisten: [{name: a, address: \"127.0.0.1:25\", auth: required, auth_insecure: always}]", `listen[0].auth_insecure: "always" is not loopback or never`},
		{"users: {file: users}\nlisten: [{name: a, address: \"127.0.0.1:25\", auth: required, limits: {auth_failures: 3/1h}}]", "listen[0].limits.auth_failures: is for the whole relay"},
	} {
		text := withUsers
		if strings.Contains(test.users, "listen:") {
			text = strings.Join(strings.Split(withUsers, "\n")[:2], "\n") + "\n"
		}
		if _, err := loadUsers(t, text+test.users+"\n"); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.users, err, test.want)
		}
	}
}

// The users file of the README's tour is one that is taken.
func TestUsersFileIsRead(t *testing.T) {
	t.Parallel()
	dir := household(t)
	secret, err := auth.NewSecret(auth.SchemeSCRAM, "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "users"), []byte("ann:"+secret.String()+":@example.com,rate=10/1h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := configs.Load(write(t, filepath.Join(dir, "postrider.yaml"), withUsers+"users: {file: users}\n"), configs.Overrides{LookupEnv: env()}); err != nil {
		t.Error(err)
	}
}
