package configs_test

import (
	"strings"
	"testing"
	"time"

	"postrider/configs"
)

const listenerWith = "listen:\n  - {name: in, address: \"127.0.0.1:0\", allow: [127.0.0.1], %s}\n"

// What is wrong with a milter, policy service or hook is told with its line and column.
func TestJudgeFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{`hooks: [{name: a, url: "ftp://judge.test/"}]`, `:2:83: listen[0].hooks[0].url: hook a: the URL is not an address such as https://judge.example.com/mail`},
		{`hooks: [{name: a, url: "judge.test"}]`, `:2:83: listen[0].hooks[0].url: hook a: the URL is not an address`},
		{`hooks: [{name: a, url: "http://judge.test/", secret: 0123456789abcdef01234567}]`, `:2:83: listen[0].hooks[0].url: hook a: a secret goes by https`},
		{`hooks: [{name: a, url: "https://judge.test/", secret: short}]`, `listen[0].hooks[0].url: hook a: the secret: shorter than 24 bytes`},
		{`hooks: [{name: a, url: "https://judge.test/", timeout: soon}]`, `:2:115: listen[0].hooks[0].timeout: "soon" is not a duration`},
		{`hooks: [{name: a, url: "https://judge.test/", timeout: -1s}]`, `listen[0].hooks[0]`},
		{`hooks: [{name: a, url: "https://judge.test/", connections: -1}]`, `listen[0].hooks[0]`},
		{`hooks: [{name: a, url: "https://judge.test/", failure: pass}]`, `:2:115: listen[0].hooks[0].failure: "pass" is not tempfail or accept`},
		{`hooks: [{url: "https://judge.test/"}]`, `listen[0].hooks[0].name: a name is needed`},
		{`hooks: [{name: a, url: "https://a.test/"}, {name: a, url: "https://b.test/"}]`, `listen[0].hooks[1].name: the name "a" is taken by another one above`},
		{`hooks: [{name: a, adress: "https://judge.test/"}]`, `unknown key listen[0].hooks[0].adress`},
		{`milters: [{name: a, address: nowhere}]`, `listen[0].milters[0].address: milter a: "nowhere" is not an address`},
		{`milters: [{name: a, address: "127.0.0.1:1", failure: reject}]`, `listen[0].milters[0].failure: "reject" is not tempfail or accept`},
		{`milters: [{name: a, address: "127.0.0.1:1", timeout: 5}]`, `listen[0].milters[0].timeout`},
		{`policy_service: [{name: a, address: "unix:"}]`, `listen[0].policy_service[0].address: policy service a: "unix:" is not an address`},
		{`policy_service: [{name: a, address: "127.0.0.1:1", at: mail}]`, `listen[0].policy_service[0].at: "mail" is not rcpt or data`},
		{`policy_service: [{name: a, address: "127.0.0.1:1", failure: maybe}]`, `listen[0].policy_service[0].failure: "maybe" is not tempfail or accept`},
	} {
		_, err := load(t, strings.Replace(listenerWith, "%s", test.text, 1), configs.Overrides{})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "postrider.yaml:2:") || strings.Contains(err.Error(), ":2:0:") {
			t.Errorf("%s: got %v, want %s", test.text, err, test.want)
		}
	}
}

// Each listener has its own, in order, with what is configured of them.
func TestJudges(t *testing.T) {
	t.Parallel()
	c, err := load(t, strings.Replace(listenerWith, "%s", `hooks: [{name: a, url: "https://a.test/", secret: 0123456789abcdef01234567, timeout: 3s, connections: 4, failure: accept}, {name: b, url: "http://b.test/"}],
     milters: [{name: m, address: "unix:/run/m", failure: tempfail}], policy_service: [{name: p, address: "127.0.0.1:1", at: data, timeout: 2s}]`, 1), configs.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	hooks, milters, services := c.Hooks["in"], c.Milters["in"], c.PolicyServices["in"]
	if len(hooks) != 2 || hooks[0].Timeout != 3*time.Second || hooks[0].Connections != 4 || !hooks[0].Accept || hooks[1].Name != "b" || hooks[1].Accept {
		t.Errorf("hooks %+v", hooks)
	}
	if len(milters) != 1 || milters[0].Address != "unix:/run/m" || milters[0].Accept {
		t.Errorf("milters %+v", milters)
	}
	if len(services) != 1 || !services[0].Data || services[0].Timeout != 2*time.Second {
		t.Errorf("policy services %+v", services)
	}
}
