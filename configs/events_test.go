package configs_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/configs"
	"postrider/relay/feed"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	c, err := load(t, `
events:
  log: {file: events.jsonl, events: [bounced]}
  size: 10MiB
  keep: 1h
  webhooks:
    - {name: shop, url: "https://hooks.example.com/mail", secret: 0123456789abcdef0123456789abcdef, from: "*@shop.example"}
    - {name: near, url: "http://127.0.0.1:9000/", secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, events: [accepted, deferred]}
`, configs.Overrides{Data: "d"})
	if err != nil {
		t.Fatal(err)
	}
	o := c.Events
	if o == nil || !strings.HasSuffix(o.Log, "events.jsonl") || !slices.Equal(o.LogEvents, []string{"bounced"}) || o.Dir != "d/events" || o.Size != 10<<20 || o.Age != time.Hour || len(o.Webhooks) != 2 {
		t.Fatalf("got %+v", o)
	}
	if w := o.Webhooks[0]; w.Name != "shop" || w.From != "*@shop.example" || !slices.Equal(w.Events, feed.DefaultEvents()) {
		t.Errorf("got %+v", w)
	}
	if c, err := load(t, "", configs.Overrides{Data: "d"}); err != nil || c.Events != nil {
		t.Errorf("by default: %+v, %v", c.Events, err)
	}
}

func TestEventsFaults(t *testing.T) {
	t.Parallel()
	const secret = "secret: 0123456789abcdef0123456789abcdef"
	for text, want := range map[string]string{
		"events: {log: {file: x, events: [sent]}}": `"sent" is not an event`,
		"events: {size: 1kB}":                      "less than 1MiB",
		"events: {keep: 0}":                        "more than nothing",
		"events: {webhooks: [{name: a/b, url: 'https://x.test/', " + secret + "}]}":                                        "letters, digits",
		"events: {webhooks: [{name: a, url: 'http://x.test/', " + secret + "}]}":                                           "can be read on the way",
		"events: {webhooks: [{name: a, url: 'x.test', " + secret + "}]}":                                                   "not an address",
		"events: {webhooks: [{name: a, url: 'https://x.test/', secret: short}]}":                                           "shorter than 24",
		"events: {webhooks: [{name: a, url: 'https://x.test/'}]}":                                                          "shorter than 24",
		"events: {webhooks: [{name: a, url: 'https://x.test/', secret: whsec_x}]}":                                         "not base64",
		"events: {webhooks: [{name: a, url: 'https://x.test/', events: [lost], " + secret + "}]}":                          `"lost" is not an event`,
		"events: {webhooks: [{name: a, url: 'https://x/', " + secret + "}, {name: a, url: 'https://y/', " + secret + "}]}": "there already",
	} {
		if _, err := load(t, text, configs.Overrides{Data: "d"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if _, err := load(t, "events: {webhooks: [{name: a, url: 'http://x.test/', plain: true, "+secret+"}]}", configs.Overrides{Data: "d"}); err != nil {
		t.Errorf("in clear because it is said: %v", err)
	}
}
