package configs_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"postrider/configs"
	"postrider/relay"
)

// loadText loads a configuration from a text.
func loadText(t *testing.T, text string) (*configs.Config, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "postrider.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return configs.Load(name, configs.Overrides{})
}

func TestShaping(t *testing.T) {
	t.Parallel()
	c, err := loadText(t, `
hostname: relay.example.com
routes:
  - {name: bulk, when: 'sender.domain == "x.example"', mx: true, rates: [100/1h], source: [{address: 192.0.2.1}, {address: 192.0.2.2}]}
  - {name: smart, when: 'sender.domain == "y.example"', hosts: ["smtp.example.com:25"], rates: [30/1m]}
  - {name: internet, mx: true}
shaping:
  flow: [tag, client]
  retry_share: 0.5
  known_memory: 100MB
  flows: [{name: "bulk*", weight: 0.5, rates: [1000 recipients/1d]}]
  destinations: [{domain: "*.slow.example", connections: 1, rates: [1MB/1m]}]
  providers: [{name: big, mx: ["*.big.example"], connections: 7, rates: [2 connections/1s]}]
`)
	if err != nil {
		t.Fatal(err)
	}
	hourly := []relay.Rate{{Count: 100, Per: time.Hour}}
	want := relay.Limits{
		Routes:       map[string][]relay.Rate{"bulk@192.0.2.1": hourly, "bulk@192.0.2.2": hourly},
		Flows:        []relay.FlowLimit{{Name: "bulk*", Weight: 0.5, Rates: []relay.Rate{{Count: 1000, Per: 24 * time.Hour, Of: relay.Recipients}}}},
		Destinations: []relay.DestinationLimit{{Domain: "*.slow.example", Connections: 1, Rates: []relay.Rate{{Count: 1e6, Per: time.Minute, Of: relay.Bytes}}}},
		Providers:    []relay.ProviderLimit{{Name: "big", MX: []string{"*.big.example"}, Connections: 7, Rates: []relay.Rate{{Count: 2, Per: time.Second, Of: relay.Connections}}}},
	}
	if got := c.Scheduler.Limits; !reflect.DeepEqual(got, want) {
		t.Errorf("limits\n got %+v\nwant %+v", got, want)
	}
	if got := c.Scheduler.RetryShare; got != 0.5 {
		t.Errorf("retry share %v", got)
	}
	if got := c.Scheduler.KnownMemory; got != 100e6 {
		t.Errorf("memory for what is known %d", got)
	}
	if got := c.Receiver.FlowBy; !reflect.DeepEqual(got, []relay.FlowBy{relay.FlowByTag, relay.FlowByClient}) {
		t.Errorf("flows by %v", got)
	}
	for _, r := range c.Outbound.Routes {
		if (r.Name == "smart") != (len(r.Rates) == 1) {
			t.Errorf("route %s: the site has rates %v", r.Name, r.Rates)
		}
	}
}

func TestShapingFaults(t *testing.T) {
	t.Parallel()
	_, err := loadText(t, `
hostname: relay.example.com
shaping:
  flow: [sender, nobody]
  retry_share: 2
  known_memory: 100kB
  flows: [{weight: 1}, {name: a, weight: -1}, {name: a}]
  destinations: [{domain: "[", connections: -1}, {domain: b, rates: [fast]}]
  providers: [{name: p}, {name: p, mx: [x]}]
`)
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, want := range []string{
		"shaping.flow[1]", "shaping.retry_share: 2", "shaping.known_memory: 100000", "shaping.flows[0].name", "shaping.flows[1].weight", "shaping.flows[2].name",
		"shaping.destinations[0].domain", "shaping.destinations[0].connections", "shaping.destinations[1].rates[0]",
		"shaping.providers[0].mx", "shaping.providers[1].name",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing said of %s in\n%v", want, err)
		}
	}
}
