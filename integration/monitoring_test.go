package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
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
	"postrider/outbound/outboundtest"
)

// monitoring is where the dashboard and the alerts are.
const monitoring = "../configs/monitoring"

// The dashboard and the alerts speak of metrics that a relay at work has, and of no others.
func TestMonitoringNames(t *testing.T) {
	t.Parallel()
	metrics := metricsAtWork(t)
	name := regexp.MustCompile(`\b(?:postrider|process)_[a-z_]+`)
	for _, file := range []string{"alerts.yaml", "grafana.json"} {
		text, err := os.ReadFile(filepath.Join(monitoring, file))
		if err != nil {
			t.Fatal(err)
		}
		used := name.FindAllString(string(text), -1)
		if len(used) < 10 {
			t.Errorf("%s speaks of %d metrics only", file, len(used))
		}
		for _, n := range used {
			if !strings.Contains(metrics, "\n"+n+"{") && !strings.Contains(metrics, "\n"+n+" ") {
				t.Errorf("%s speaks of %s, which the relay does not have", file, n)
			}
		}
	}
}

// What operators were promised to see is there in a relay at work, and no label has a value for each
// message, address or domain.
func TestMonitoringPromises(t *testing.T) {
	t.Parallel()
	text := metricsAtWork(t)
	for promise, names := range map[string][]string{
		"accepted":                   {"messages_accepted_total", "recipients_accepted_total", "accepted_bytes_total"},
		"refused by reason":          {`refused_total{code="552",reason="size",stage="mail"}`},
		"delivered":                  {`recipients_total{class="none",status="delivered"}`, "destination_recipients_total"},
		"deferred by class":          {`recipients_total{class="host",status="deferred"}`},
		"bounced by class":           {`recipients_total{class="user",status="bounced"}`},
		"queue depth and age":        {"queue_deliveries", "queue_oldest_seconds", "queue_held_deliveries", "destination_queue_deliveries", "destination_queue_oldest_seconds"},
		"250 latency":                {"answer_seconds_bucket", "commit_seconds_bucket"},
		"delays":                     {`delay_seconds_count{phase="queue"}`, `delay_seconds_count{phase="connect"}`, `delay_seconds_count{phase="transmit"}`},
		"connections":                {"outbound_connections", "inbound_connections", `outbound_phase_connections{phase="carrying"}`, `outbound_phase_longest_seconds{phase="opening"}`, "outbound_connections_lost"},
		"window and gate":            {"destination_window", "destination_closed", "gate_closings_total"},
		"DNS":                        {"dns_cache_hits_total", "dns_lookup_seconds_total"},
		"TLS versions":               {`attempts_total{tls="none"}`, `messages_accepted_total{listener="local",tls="none"}`},
		"DKIM":                       {`messages_signed_total{reason="",result="signed"}`, `messages_signed_total{reason="no_key",result="unsigned"}`, `messages_signed_total{reason="header",result="failed"}`},
		"spool":                      {"spool_syncs_total", "spool_written_bytes_total", "spool_used_bytes", "spool_free_bytes", "spool_min_free_bytes"},
		"history and outbox":         {"history_used_bytes", "history_limit_bytes", "outbox_used_bytes", "outbox_limit_bytes", "webhook_behind_bytes", "webhook_failing_seconds"},
		"tokens' age":                {"oauth_token_age_seconds", "oauth_token_left_seconds", "oauth_token_fault"},
		"watchdog":                   {"moving 1", "moving_proof_seconds", "watch_found_total", "watch_found_timestamp_seconds"},
		"notices and double bounces": {"notices_total", "double_bounces_total"},
		"log":                        {"log_lines_dropped_total", "log_buffered_bytes"},
	} {
		for _, name := range names {
			if !strings.Contains(text, "\npostrider_"+name) {
				t.Errorf("%s: no postrider_%s", promise, name)
			}
		}
	}
	for _, label := range regexp.MustCompile(`="([^"]*(?:@|\.test)[^"]*)"`).FindAllStringSubmatch(text, -1) {
		if label[1] != "relay@example.com" { // whom we are at an upstream: as many as the configuration has
			t.Errorf("a label has the value %q", label[1])
		}
	}
}

// metricsAtWork are the metrics of a relay that has delivered, refused, and has mail waiting.
func metricsAtWork(t *testing.T) string {
	t.Helper()
	binary(t) // building it takes its time
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t)
	peer := outboundtest.NewPeer(t, outboundtest.Script{Mechanisms: []string{"XOAUTH2"}, Token: a.takes})
	_, token := a.configure(t, peer)
	relay := startRelay(t, ctx, fmt.Sprintf(`routes:
  - {name: dead, when: recipient.domain == "dead.test", hosts: ["127.0.0.1:%d"]}
  - name: cloud
    when: recipient.domain == "cloud.test"
    hosts: [%q]
    auth: {user: relay@example.com, oauth2: {provider: custom, client_id: c, token_url: %q, token_file: %q}}
  - {name: bounce, when: recipient.domain == "bounce.test", hosts: [%q]}
  - {name: live, hosts: [%q]}
events: {webhooks: [{name: shop, url: "http://127.0.0.1:9/", secret: 0123456789abcdef0123456789abcdef}]}
`, port, peer.Addr(), a.url, token, refusing(t, ctx), sink.Addr()))
	for _, to := range []string{"a@live.test", "b@dead.test", "c@cloud.test", "d@bounce.test"} {
		if err := send(relay.Addr(), "a@one.test", to); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(relay.Addr(), "", "nobody@bounce.test"); err != nil {
		t.Fatal(err)
	}
	if err := refused(relay.Addr()); err != nil {
		t.Fatal(err)
	}
	if err := sink.Await(ctx, "the delivery", func(all []integration.Received) bool { return len(all) > 0 }); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(filepath.Dir(relay.Config), "admin.sock")
	for { // the attempt is counted a moment after the sink has the message
		text := overSocket(t, ctx, socket, "/metrics")
		missing := slices.ContainsFunc([]string{"postrider_attempts_total{", "postrider_oauth_token_age_seconds{", "postrider_notices_total{dropped=\"false\"", "postrider_double_bounces_total 1"},
			func(name string) bool { return !strings.Contains(text, "\n"+name) })
		if !missing || ctx.Err() != nil {
			return text
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// refusing is a next hop that knows nobody.
func refusing(t *testing.T, ctx context.Context) string {
	t.Helper()
	return newSink(t, ctx, "127.0.0.1:0", "--reject", "rcpt:550 5.1.1 no such user").Addr()
}

// refused has a message refused for its size.
func refused(addr string) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Hello("client.test"); err != nil {
		return err
	}
	id, err := c.Text.Cmd("MAIL FROM:<a@one.test> SIZE=99999999999")
	if err != nil {
		return err
	}
	c.Text.StartResponse(id)
	defer c.Text.EndResponse(id)
	_, _, err = c.Text.ReadResponse(552)
	return err
}

// overSocket asks the admin socket.
func overSocket(t *testing.T, ctx context.Context, socket, path string) string {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://relay"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	return string(text)
}

// Prometheus takes the alerts, which fire when they should and not before, and the metrics.
func TestMonitoringRules(t *testing.T) {
	t.Parallel()
	needs(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = monitoring
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(metricsAtWork(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// The dashboard is JSON, each panel has a query, and none has the place of another.
func TestMonitoringDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(monitoring, "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID          int
			Title, Type string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr string }
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&d); err != nil {
		t.Fatal(err)
	}
	places := make(map[[2]int]string)
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s asks for nothing", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := places[[2]int{x, y}]; other != "" || x > 23 {
					t.Fatalf("%s lies on %q", p.Title, other)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
	}
}
