package configs

import (
	"slices"
	"strings"
	"testing"
)

const before = `hostname: relay.example.com
listen:
  - {name: local, address: "127.0.0.1:2525", allow: ["127.0.0.0/8"]}
limits: {recipients: 10}
routes:
  - {name: corp, when: 'sender.domain == "corp.example"', hosts: ["mx.corp.example:25"], auth: {user: a, password: secret}, tls: verify}
  - {name: internet, mx: true}
rules:
  - {name: one, at: data, tag: [x]}
  - {name: two, at: data, tag: [y]}
log: {level: info}
`

// What differs is named by its key, without its value; what cannot change in a running relay is
// refused by name.
func TestChanges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		edit     []string
		want     []string
		refusals []string
	}{
		{"nothing", nil, nil, nil},
		{"a limit", []string{"recipients: 10", "recipients: 20"}, []string{"limits.recipients"}, nil},
		{"a password", []string{"secret", "geheim"}, []string{"routes[corp].auth.password"}, nil},
		{"a route comes, a rule goes", []string{"rules:\n  - {name: one", "  - {name: late, when: 'false', mx: true}\nrules:\n  - {name: uno", "  - {name: internet, mx: true}\n  - {name: late, when: 'false', mx: true}\n", "  - {name: late, when: 'false', mx: true}\n  - {name: internet, mx: true}\n"},
			[]string{"routes[late]: new", "rules[one]: gone", "rules[uno]: new"}, nil},
		{"the order of rules", []string{"name: one", "name: TMP", "name: two", "name: one", "name: TMP", "name: two", "tag: [x]", "tag: [Z]", "tag: [y]", "tag: [x]", "tag: [Z]", "tag: [y]"},
			[]string{"rules: the order"}, nil},
		{"the log level", []string{"level: info", "level: warn"}, []string{"log.level"}, nil},
		{"the host name and the log's format", []string{"relay.example.com", "other.example.com", "level: info", "level: info, format: text"}, nil,
			[]string{"takes a new start: hostname, log.format"}},
		{"the data", []string{"hostname", "data: /elsewhere\nhostname"}, nil, []string{"takes a new start: data"}},
		{"admin", []string{"hostname", "admin: {socket: /elsewhere}\nhostname"}, nil, []string{"takes a new start: admin.socket"}},
		{"half a file", []string{before[strings.Index(before, "routes:"):], ""}, nil, []string{"routes: there are none any more"}},
		{"a part of a line", []string{"log: {level: info}\n", "log: {level: info}"}, nil, []string{"ends within a line"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := before
			for i := 0; i < len(tt.edit); i += 2 {
				text = strings.ReplaceAll(text, tt.edit[i], tt.edit[i+1])
			}
			got, err := parsed(t, before).Changes(parsed(t, text))
			for _, want := range tt.refusals {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q in it", err, want)
				}
			}
			if len(tt.refusals) == 0 && (err != nil || !slices.Equal(got, tt.want)) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			if strings.Contains(strings.Join(got, " "), "geheim") {
				t.Error("a secret is shown")
			}
		})
	}
}

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	c, err := load("postrider.yaml", []byte(text), Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
