package integration_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// cookbook has the situations, and what is sent in each: what must arrive, as "from>to".
var cookbook = map[string][]meal{
	"postfix-smarthost":         {{"a@example.com", "b@d.example", "", "", "a@example.com>b@d.example"}},
	"app-to-m365":               {{"app@host.internal", "b@d.example", "", "", "relay@example.com>b@d.example"}},
	"provider-per-sender":       {{"a@shop.example", "b@d.example", "", "", "a@shop.example>b@d.example"}, {"a@other.example", "b@d.example", "", "550", ""}},
	"staging":                   {{"a@example.com", "b@d.example", "", "", "a@example.com>qa@example.com"}},
	"dkim-gateway":              {{"a@d07.example", "b@d.example", "", "", "a@d07.example>b@d.example"}, {"a@d51.example", "b@d.example", "", "550", ""}},
	"bulk-beside-transactional": {{"a@example.com", "b@d.example", "List-Unsubscribe: x", "", "a@example.com>b@d.example"}},
	"legacy-printer":            {{"scanner@local", "ann@example.com", "", "", "printer@example.com>ann@example.com"}, {"scanner@local", "ann@d.example", "", "550", ""}},
	"quarantine":                {{"a@example.com", "held@d.example", "X-Spam-Flag: YES", "", ""}, {"a@example.com", "b@d.example", "", "", "a@example.com>b@d.example"}},
	"internal-route":            {{"a@example.com", "b@example.com", "", "", "a@example.com>b@example.com"}, {"a@example.com", "b@d.example", "Sensitivity: Company-Confidential", "550", ""}},
	"disclaimer":                {{"a@example.com", "b@d.example", "X-Internal-Id: 7", "", "a@example.com>b@d.example"}},
	"rate-per-tenant": {
		{"a@t.example", "b@d.example", "", "", "a@t.example>b@d.example"}, {"a@t.example", "c@d.example", "", "", "a@t.example>c@d.example"},
		{"a@t.example", "d@d.example", "", "450", ""}, {"a@example.com", "e@d.example", "", "", "a@example.com>e@d.example"},
	},
	"two-providers":     {{"a@example.com", "b@d.example", "", "", "a@example.com>b@d.example"}},
	"archive-and-trash": {{"a@example.com", "b@d.test", "", "", "a@example.com>archive@archive.internal"}},
}

// meal is a message, the field it has besides, the beginning of the refusal, and its arrival.
type meal struct{ from, to, field, refused, arrives string }

// Each situation of the cookbook is loaded as it stands, does what its expectations say, and
// delivers to a server of ours in place of the providers.
func TestCookbook(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../configs/cookbook/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, isRecipe := strings.CutSuffix(filepath.Base(file), ".yaml")
		if strings.HasSuffix(name, ".tests") || !isRecipe {
			continue
		}
		meals, ok := cookbook[name]
		if !ok {
			t.Errorf("%s is not cooked", name)
		}
		t.Run(name, func(t *testing.T) { cook(t, file, meals) })
	}
}

func cook(t *testing.T, file string, meals []meal) {
	t.Parallel()
	ctx := within(t, time.Minute)
	dir := folder(t)
	pantry(t, dir)
	recipe, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(config, recipe, 0o600); err != nil {
		t.Fatal(err)
	}
	check := exec.CommandContext(ctx, binary(t), "check", "--config", config, "--tests", strings.TrimSuffix(file, ".yaml")+".tests.yaml")
	check.Env = append(os.Environ(), secretsOf(string(recipe))...)
	if out, err := check.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := &integration.Relay{Binary: binary(t), Config: config}
	text := string(recipe)
	fails := strings.Contains(text, failing)
	if fails {
		text = strings.Replace(text, failing, fmt.Sprintf("hosts:  [%q]", nobody(t)), 1)
	}
	if err := os.WriteFile(config, []byte(local(text, dir, sink.Addr())), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if relay.Process != nil {
			relay.Kill()
		}
	})
	start(t, ctx, relay)
	serve(t, ctx, relay, sink, meals)
	if !fails {
		return
	}
	if _, err := relay.Await(ctx, "the diversion", func(line string) bool { return strings.Contains(line, `"message":"diverted"`) }); err != nil {
		t.Error(err)
	}
}

// failing are the hosts of a recipe that are down: the mail must go by the other way that it has.
const failing = `hosts: ["smtp.first.example:587"]`

// nobody is an address where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve sends the messages and waits for those that must arrive. What must not does not come
// before the last of the others.
func serve(t *testing.T, ctx context.Context, relay *integration.Relay, sink *integration.Sink, meals []meal) {
	t.Helper()
	var want []string
	for _, m := range meals {
		err := sendField(relay.Addr(), m.from, m.to, m.field)
		if got := fmt.Sprint(err); m.refused == "" && err != nil || m.refused != "" && !strings.HasPrefix(got, m.refused) {
			t.Errorf("from %s to %s: %v, want %q", m.from, m.to, err, m.refused)
		}
		if m.arrives != "" {
			want = append(want, m.arrives)
		}
	}
	var got []string
	err := sink.Await(ctx, "the messages", func(received []integration.Received) bool {
		got = nil
		for _, r := range received {
			got = append(got, r.From+">"+strings.Join(r.To, ","))
		}
		return len(got) >= len(want)
	})
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("arrived %q, want %q (%v)", got, want, err)
	}
}

// sendField sends a message with one field more and gives the error of the server.
func sendField(addr, from, to, field string) error {
	text := "From: <" + from + ">\r\nSubject: one message\r\n"
	if field != "" {
		text += field + "\r\n"
	}
	return smtp.SendMail(addr, nil, from, []string{to}, []byte(text+"\r\nText of the message.\r\n"))
}

// pantry has the files that the recipes name.
func pantry(t *testing.T, dir string) {
	t.Helper()
	var domains bytes.Buffer
	for _, sub := range []string{"keys", "lists"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i <= 50; i++ {
		domain := fmt.Sprintf("d%02d.example", i)
		fmt.Fprintln(&domains, domain)
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		if err := os.WriteFile(filepath.Join(dir, "keys", domain+".pem"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "lists", "domains"), domains.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secretsOf gives each variable that a recipe names a value.
func secretsOf(recipe string) (env []string) {
	for _, m := range regexp.MustCompile(`\$\{env:(\w+)\}`).FindAllStringSubmatch(recipe, -1) {
		env = append(env, m[1]+"=secret")
	}
	return env
}

// local has the recipe's mail go to a server without TLS and users, and everything of it stay in a folder.
func local(recipe, dir, sink string) string {
	for _, r := range []struct{ pattern, text string }{
		{`(?m)^data: .*$`, fmt.Sprintf("data: %q\nadmin: {socket: %q}\nlog: {level: info, format: json}", filepath.Join(dir, "data"), filepath.Join(dir, "admin.sock"))},
		{`(?s)preset: m365.*$`, `hosts: [""]` + "\n"},
		{`hosts: \[[^\]]*\]`, fmt.Sprintf("hosts: [%q]", sink)},
		{`(?m)^ *auth: \{[^}]*\}[^}]*\}$`, ""}, {`, auth: \{[^}]*\}[^}]*\}`, ""}, {`(?m)^ *auth: \{.*\}$`, ""},
		{`(, |    )tls: \w+\n?`, "$1"}, {`, lmtp: true`, ""}, {`, \}`, "}"},
		{`\{name: \w+, address: "127.0.0.1:2525"`, `{name: ` + integration.Listener + `, address: "127.0.0.1:0"`},
	} {
		recipe = regexp.MustCompile(r.pattern).ReplaceAllString(recipe, r.text)
	}
	return recipe
}
