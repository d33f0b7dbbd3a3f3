package configs_test

import (
	"reflect"
	"strings"
	"testing"

	"postrider/configs"
	"postrider/inbound/verify"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	const text = `
hostname: relay.example.com
listen:
  - {name: inside, address: "127.0.0.1:0", allow: ["127.0.0.0/8"]}
  - {name: outside, address: "127.0.0.1:0", allow: ["127.0.0.0/8"], verify: [spf, dmarc]}
`
	c, err := load(t, text, configs.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]verify.Options{"outside": {Hostname: "relay.example.com", Methods: []string{"spf", "dmarc"}}}
	if !reflect.DeepEqual(c.Verify, want) {
		t.Errorf("got %+v", c.Verify)
	}
	_, err = load(t, strings.Replace(text, "dmarc]", "arc]", 1), configs.Overrides{})
	if err == nil || !strings.Contains(err.Error(), `"arc" is not spf, dkim or dmarc`) || !strings.Contains(err.Error(), ":5:") {
		t.Errorf("got %v", err)
	}
}
