package configs_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"postrider/configs"
	"postrider/inbound"
	"postrider/inbound/auth"
)

const listeners = `
hostname: relay.example
limits: {rate_per_client: 1000/1h, connections_per_user: 7, data_total: 30m}
listen:
  - name: submission
    address: ":587"
    tls: {cert: tls/cert.pem, key: tls/key.pem, certificates: [{cert: tls/other.pem, key: tls/other.key}], client_ca: tls/clients.pem, client_subjects: [printer]}
    profile: legacy
    submission: true
    strict: true
    hide_client: true
    discard: [chunking]
    proxy_protocol: [192.0.2.0/24, "2001:db8::1"]
    allow: [203.0.113.0/24]
    xclient: [192.0.2.1]
    mt_priority: [203.0.113.0/25]
    limits: {message_size: 1MB, recipient_rate_per_sender: 10/1m, rate_per_client: off}
`

func TestListeners(t *testing.T) {
	t.Parallel()
	dir := household(t)
	c, err := configs.Load(write(t, filepath.Join(dir, "postrider.yaml"), listeners), configs.Overrides{LookupEnv: env()})
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	want := inbound.Listener{
		Name: "submission", Address: ":587", Profile: inbound.ProfileLegacy, Submission: true, Strict: true, HideClient: true,
		TLS: inbound.TLSOptions{
			Certificates: []inbound.Certificate{{CertFile: in("tls/cert.pem"), KeyFile: in("tls/key.pem")}, {CertFile: in("tls/other.pem"), KeyFile: in("tls/other.key")}},
			ClientCA:     in("tls/clients.pem"), ClientSubjects: []string{"printer"},
		},
		Discard:       []string{"chunking"},
		ProxyProtocol: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
		XClient:       []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
		MTPriority:    []netip.Prefix{netip.MustParsePrefix("203.0.113.0/25")},
		Limits:        inbound.Limits{MessageSize: 1_000_000, RecipientRatePerSender: auth.Rate{N: 10, Per: time.Minute}, RatePerClient: auth.Rate{N: -1}},
	}
	if got := c.Inbound.Listeners[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	l := c.Inbound.Limits
	if (l.RatePerClient != auth.Rate{N: 1000, Per: time.Hour}) || l.ConnectionsPerUser != 7 || l.DataTotal != 30*time.Minute || l.RatePerUser.N != -1 {
		t.Errorf("limits %+v", l)
	}
}

func TestListenerFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ from, to, want string }{
		{"profile: legacy", "profile: modern", `"modern" is not standard`},
		{"discard: [chunking]", "discard: [HELP]", `"HELP" is not PIPELINING`},
		{"rate_per_client: off", "rate_per_client: lots", `"lots" is not a rate such as 1000/1h`},
		{"message_size: 1MB", "hops: 3", "is for the whole relay"},
		{"message_size: 1MB", "min_free: 1MB", "is for the whole relay"},
		{"message_size: 1MB", "errors: -1", "must be more than 0"},
		{"message_size: 1MB", "connections_per_user: -1", "is negative"},
		{"message_size: 1MB", "command_length: 100", "100 is not from 512 to 16384"},
		{"data_total: 30m", "data_rate: 0", "must be more than 0"},
		{"proxy_protocol: [192.0.2.0/24", "proxy_protocol: [192.0.2.0/99", "192.0.2.0/99"},
		{"allow: [203.0.113.0/24]", "allow: [203.0.113.0/24, 192.0.0.0/16]", "postrider.yaml:13:22: listen[0].proxy_protocol[0]: 192.0.2.0/24 overlaps 192.0.0.0/16 in allow"},
		{"allow: [203.0.113.0/24]", "allow: ['::/0']", "postrider.yaml:13:36: listen[0].proxy_protocol[1]: 2001:db8::1"},
		{"xclient: [192.0.2.1]", "xclient: [203.0.113.9]", "postrider.yaml:15:15: listen[0].xclient[0]: 203.0.113.9"},
		{"client_subjects: [printer]", "client_subjects: [printer, '']", "client_subjects[1]: a name is needed"},
		{"client_ca: tls/clients.pem, ", "", "client_subjects: needs client_ca"},
		{"client_ca: tls/clients.pem", "client_ca: tls/key.pem", "has no certificate"},
		{"key: tls/other.key", "key: tls/none.key", "tls/none.key"},
		{", key: tls/other.key", "", "a PEM file is needed"},
		{"cert: tls/cert.pem, key: tls/key.pem, certificates: [{cert: tls/other.pem, key: tls/other.key}], ", "", "a PEM file is needed"},
	} {
		text := strings.Replace(listeners, test.from, test.to, 1)
		if text == listeners {
			t.Fatalf("%q is not in the text", test.from)
		}
		_, err := configs.Load(write(t, filepath.Join(household(t), "postrider.yaml"), text), configs.Overrides{LookupEnv: env()})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.to, err, test.want)
		}
	}
}

// TestExamplesBegin has inbound load what the examples name.
func TestExamplesBegin(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("examples/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load(write(t, filepath.Join(household(t), "reference.yaml"), string(text)), configs.Overrides{LookupEnv: env("CORP_PASSWORD", "x", "M365_SECRET", "y", "LDAP_PASSWORD", "l", "AUTH_TOKEN", "a", "SES_PASSWORD", "s", "MAILGUN_PASSWORD", "m", "ADMIN_TOKEN", "0123456789abcdef", "WEBHOOK_SECRET", "0123456789abcdef01234567")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Inbound.Validate(); err != nil {
		t.Error(err)
	}
}
