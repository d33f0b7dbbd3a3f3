package integration_test

import (
	"context"
	"fmt"
	"net"
	"net/smtp"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

const slapdConfig = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/slapd.pid
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
require bind
database mdb
suffix "dc=example,dc=com"
rootdn "cn=relay,dc=example,dc=com"
rootpw service
directory %[1]s
`

const slapdPeople = `dn: dc=example,dc=com
objectClass: domain
dc: example

dn: uid=ann,dc=example,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: Smith
mail: ann@example.com
userPassword: secret
`

const ldapConfig = `hostname: relay.test
data: %[1]q
listen: [{name: local, address: "127.0.0.1:0", auth: required}]
users:
  ldap: {urls: ["ldap://localhost:%[2]d"], starttls: true, ca: cert.pem, bind_dn: "cn=relay,dc=example,dc=com", bind_password: service,
    base: "dc=example,dc=com", filter: "(&(objectClass=person)(uid={user}))", senders: mail}
  cache: 0s
limits: {auth_failures: off}
routes: [{name: next, hosts: ["127.0.0.1:9"]}]
admin: {socket: %[3]q}
`

// startSlapd runs an OpenLDAP server until it is killed.
func startSlapd(t *testing.T, ctx context.Context, dir string, port int) *integration.Process {
	t.Helper()
	p, err := integration.Start(exec.Command("slapd", "-h", fmt.Sprintf("ldap://127.0.0.1:%d", port), "-f", filepath.Join(dir, "slapd.conf"), "-d", "0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
			return p
		}
		select {
		case <-tick.C:
		case <-p.Done():
			t.Fatalf("slapd ended: %q", p.Lines())
		case <-ctx.Done():
			t.Fatalf("slapd does not listen: %q", p.Lines())
		}
	}
}

// TestLDAP has an OpenLDAP server say who may authenticate, also after it was gone for a while.
func TestLDAP(t *testing.T) {
	t.Parallel()
	needs(t, "slapd", "slapadd")
	ctx := within(t, time.Minute)
	relay := newRelay(t, "")
	dir := filepath.Dir(relay.Config)
	writeHousehold(t, dir)
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "slapd.conf"), fmt.Sprintf(slapdConfig, dir))
	load := exec.CommandContext(ctx, "slapadd", "-q", "-f", filepath.Join(dir, "slapd.conf"))
	load.Stdin = strings.NewReader(slapdPeople)
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v: %s", err, out)
	}
	write(t, relay.Config, fmt.Sprintf(ldapConfig, filepath.Join(dir, "data"), port, filepath.Join(dir, "admin.sock")))
	slapd := startSlapd(t, ctx, dir, port)
	start(t, ctx, relay)
	try := func(user, password, want string) {
		t.Helper()
		if got := fmt.Sprint(loginClear(relay.Addr(), user, password)); !strings.HasPrefix(got, want) {
			t.Errorf("%q %q: got %s, want %s", user, password, got, want)
		}
	}
	const in, out, failed = "<nil>", `535 "5.7.8`, `454 "4.7.0`
	for range 2 {
		try("ann", "secret", in)
		try(" ANN", "secret", in)
		try("ann", "wrong", out)
		try("ann", "", out)
		try("eve", "secret", out)
		try("*", "secret", out)
		try("ann)(uid=*", "secret", out)
		slapd.Kill()
		try("ann", "secret", failed)
		slapd = startSlapd(t, ctx, dir, port)
	}
	client := dialAs(t, relay.Addr(), "ann", "secret")
	if err := client.Mail("eve@example.com"); err == nil || !strings.HasPrefix(err.Error(), "553") {
		t.Errorf("MAIL by eve: %v", err)
	}
	if err := client.Mail("ann@example.com"); err != nil {
		t.Errorf("MAIL by ann: %v", err)
	}
}

// loginClear authenticates without TLS, as it may on this host.
func loginClear(addr, user, password string) error {
	client, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Auth(smtp.PlainAuth("", user, password, "127.0.0.1"))
}

func dialAs(t *testing.T, addr, user, password string) *smtp.Client {
	t.Helper()
	client, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.Auth(smtp.PlainAuth("", user, password, "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	return client
}
