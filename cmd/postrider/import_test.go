package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postrider/configs"
)

// imported writes Postfix's files, imports them, and gives the configuration as text and as it
// is understood.
func imported(t *testing.T, files map[string]string) (string, *configs.Config) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	output := filepath.Join(t.TempDir(), "postrider.yaml")
	root := newRootCommand()
	root.SetArgs([]string{"import", "postfix", dir, "--output", output})
	root.SetOut(&strings.Builder{})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load(output, configs.Overrides{SystemHostname: "relay.test"})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return string(text), c
}

// A satellite with a smart host, a login and a transport map, as its main.cf has it.
func TestImportPostfix(t *testing.T) {
	t.Parallel()
	text, c := imported(t, map[string]string{
		"main.cf": `# a comment
myhostname = mail.example.com
mydomain = example.com
myorigin = $mydomain
inet_interfaces = 127.0.0.1, 192.0.2.1
mynetworks = 127.0.0.0/8 [::1]/128
  [::ffff:127.0.0.0]/104, 192.0.2.0/24
relayhost = [smtp.provider.example]:submission
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd
smtp_tls_security_level = encrypt
transport_maps = hash:/etc/postfix/transport, ldap:/etc/postfix/ldap.cf
message_size_limit = 30000000
maximal_queue_lifetime = 3
minimal_backoff_time = 5m
delay_warning_time = 0h
queue_directory = /var/spool/postfix
content_filter = scan:[127.0.0.1]:10025
smtpd_recipient_restrictions = permit_mynetworks, check_policy_service inet:127.0.0.1:10023
unheard_of = yes
`,
		"sasl_passwd": "[smtp.provider.example]:submission shop:pass:word\n",
		"transport":   "corp.example smtp:[10.0.0.5]\n.corp.example relay:[10.0.0.5]:2525\nlocal.example local:\nboss@example.net smtp:[10.0.0.6]\n",
	})
	for _, want := range []string{"#   content_filter = scan:[127.0.0.1]:10025\n#     here: listen[].milters or listen[].hooks\n",
		"check_policy_service inet:127.0.0.1:10023\n#     here: listen[].allow says who", "#   unheard_of = yes\n", "#   transport: local.example local:", "ldap:/etc/postfix/ldap.cf", "#   delay_warning_time = 0h"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, no := range []string{"pass:word", "queue_directory", "ffff", "mydomain"} {
		if strings.Contains(text, no) {
			t.Errorf("%q in\n%s", no, text)
		}
	}
	if c.Hostname != "mail.example.com" || len(c.Inbound.Listeners) != 2 || len(c.Policy.Relay["smtp1"]) != 3 || c.Receiver.MessageSize != 30_000_000 {
		t.Errorf("got %s, %d listeners, allow %v, size %d", c.Hostname, len(c.Inbound.Listeners), c.Policy.Relay["smtp1"], c.Receiver.MessageSize)
	}
	last := c.Outbound.Routes[len(c.Outbound.Routes)-1]
	if len(c.Policy.Routes) != 4 || last.Name != "relayhost" || last.Hosts[0] != "smtp.provider.example:587" || last.Auth.User != "shop" || last.Auth.Password != "pass:word" {
		t.Errorf("%d routes, the last %+v with %+v", len(c.Policy.Routes), last, last.Auth)
	}
	if hours := c.Scheduler.Retry.MaxAge.Hours(); hours != 72 {
		t.Errorf("mail is kept for %v hours, want 72", hours)
	}
}

// What Debian installs delivers to the world, and lets this host alone relay.
func TestImportPostfixByMX(t *testing.T) {
	t.Parallel()
	text, c := imported(t, map[string]string{"main.cf": "compatibility_level = 3.6\nmyhostname = mx.example.com\nrelayhost =\ninet_interfaces = loopback-only\nmynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128\nsmtp_tls_security_level=may\nloop = $loop x\n"})
	if r := c.Outbound.Routes; len(r) != 1 || !r[0].MX || c.Inbound.Listeners[0].Address != "127.0.0.1:25" {
		t.Errorf("routes %+v at %s", r, c.Inbound.Listeners[0].Address)
	}
	if !strings.Contains(text, "#   loop = $loop x") || strings.Contains(text, "compatibility") {
		t.Errorf("the comments are wrong:\n%s", text)
	}
}

// The files that Postfix itself has installed here, if it has.
func TestImportPostfixInstalled(t *testing.T) {
	t.Parallel()
	main, err := os.ReadFile("/etc/postfix/main.cf")
	if err != nil && os.Getenv("POSTRIDER_REQUIRE_PEERS") == "1" {
		t.Fatalf("%v, and POSTRIDER_REQUIRE_PEERS=1", err)
	}
	if err != nil {
		t.Skip("Postfix is not installed")
	}
	imported(t, map[string]string{"main.cf": string(main) + "\nmyhostname = relay.example.com\n"})
}
