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
	"strings"
	"testing"
	"time"

	"postrider/integration"
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
	relay := startRelay(t, ctx, fmt.Sprintf(`routes:
  - {name: dead, when: recipient.domain == "dead.test", hosts: ["127.0.0.1:%d"]}
  - {name: live, hosts: [%q]}
`, port, sink.Addr()))
	for _, to := range []string{"a@live.test", "b@dead.test"} {
		if err := send(relay.Addr(), "a@one.test", to); err != nil {
			t.Fatal(err)
		}
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
		if strings.Contains(text, "\npostrider_attempts_total{") || ctx.Err() != nil {
			return text
		}
		time.Sleep(20 * time.Millisecond)
	}
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
