package admin_test

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/admin"
)

// scrape gives what Prometheus would read.
func scrape(t *testing.T, m *admin.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("scrape: %d, %v: %s", w.Code, err, body)
	}
	return string(body)
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			t.Errorf("no line %q; there is:\n%s", line, strings.Join(regexp.MustCompile(`(?m)^`+name+`.*$`).FindAllString(text, 20), "\n"))
		}
	}
}

func attempted(domain string, outcomes ...relay.Outcome) relay.Attempted {
	return relay.Attempted{
		Delivery: relay.Delivery{To: relay.Destination{Route: "internet", Domain: domain}}, Message: &relay.Message{},
		Outcomes: outcomes, Host: "mx." + domain, Addr: "192.0.2.1:25", TLS: "TLSv1.3, TLS_AES_128_GCM_SHA256",
		Queue: time.Second, Connect: 20 * time.Millisecond, Transmit: 40 * time.Millisecond,
	}
}

// unsignable is a signer's error with its reason.
type unsignable string

func (u unsignable) Error() string      { return "cannot be signed" }
func (u unsignable) Unsignable() string { return string(u) }

func TestMetricsOfFacts(t *testing.T) {
	t.Parallel()
	m := admin.NewMetrics("v1.2.3", time.Now)
	m.Accepted(relay.Accepted{
		Message: &relay.Message{
			Origin: relay.Origin{Listener: "local", TLS: "TLSv1.2, X"}, Size: 1000, Header: []byte("DKIM-Signature: v=1\r\n\r\n"),
			Envelope: relay.Envelope{Recipients: make([]relay.Recipient, 3)},
		},
		Commit: 2 * time.Millisecond, Answer: 3 * time.Millisecond,
	})
	m.Accepted(relay.Accepted{Message: &relay.Message{Origin: relay.Origin{Listener: "local"}}, Unsigned: errors.New("no From")})
	m.Accepted(relay.Accepted{Message: &relay.Message{}, Unsigned: fmt.Errorf("sign: %w", unsignable("header"))})
	m.Accepted(relay.Accepted{Message: &relay.Message{}, Unsigned: errors.Join(unsignable("key"))})
	m.Accepted(relay.Accepted{Message: &relay.Message{}, Unsigned: unsignable("whatever")})
	m.Notified(relay.Notified{Status: relay.Expired, Dropped: true})
	m.Notified(relay.Notified{Status: relay.Deferred, Dropped: true})
	m.Refused(relay.Refused{Stage: "rcpt", Reply: &relay.Reply{Code: 554}, Reason: relay.ReasonAccess})
	m.Refused(relay.Refused{Stage: "rcpt", Reply: &relay.Reply{Code: 999}, Reason: relay.ReasonPolicy})
	m.Attempted(attempted("one.test",
		relay.Outcome{Status: relay.Delivered, Reply: relay.Reply{Code: 250}},
		relay.Outcome{Status: relay.Bounced, Reply: relay.Reply{Code: 550, Class: relay.ClassUser}},
		relay.Outcome{Status: relay.Deferred, Reply: relay.Reply{Code: 452, Class: relay.ClassQuota}}))
	m.Attempted(relay.Attempted{EightBit: true, Outcomes: []relay.Outcome{{Status: relay.Expired}, {Status: relay.Status(99)}}})
	m.Notified(relay.Notified{Status: relay.Bounced})
	m.Gated(relay.Gated{Closed: true})
	m.Gated(relay.Gated{})
	m.Faulted(relay.Fault{})
	wantLines(t, scrape(t, m),
		`postrider_messages_accepted_total{listener="local",tls="TLSv1.2"} 1`,
		`postrider_messages_accepted_total{listener="local",tls="none"} 1`,
		`postrider_accepted_bytes_total 1000`,
		`postrider_recipients_accepted_total 3`,
		`postrider_answer_seconds_bucket{le="0.0025"} 4`,
		`postrider_answer_seconds_bucket{le="0.005"} 5`,
		`postrider_messages_signed_total{reason="",result="signed"} 1`,
		`postrider_messages_signed_total{reason="no_key",result="unsigned"} 0`,
		`postrider_messages_signed_total{reason="header",result="failed"} 1`,
		`postrider_messages_signed_total{reason="key",result="failed"} 1`,
		`postrider_messages_signed_total{reason="other",result="failed"} 2`,
		`postrider_double_bounces_total 1`,
		`postrider_refused_total{code="554",reason="access",stage="rcpt"} 1`,
		`postrider_refused_total{code="other",reason="policy",stage="rcpt"} 1`,
		`postrider_recipients_total{class="none",status="delivered"} 1`,
		`postrider_recipients_total{class="user",status="bounced"} 1`,
		`postrider_recipients_total{class="quota",status="deferred"} 1`,
		`postrider_recipients_total{class="none",status="expired"} 1`,
		`postrider_recipients_total{class="none",status="unknown"} 1`,
		`postrider_attempts_total{tls="TLSv1.3"} 1`,
		`postrider_attempts_total{tls="unreached"} 1`,
		`postrider_eight_bit_total 1`,
		`postrider_delay_seconds_count{phase="connect"} 1`,
		`postrider_notices_total{dropped="false",status="bounced"} 1`,
		`postrider_gate_closings_total 1`,
		`postrider_gate_openings_total 1`,
		`postrider_faults_total 1`,
		`postrider_build_info{version="v1.2.3"} 1`,
	)
}

func TestMetricsOfState(t *testing.T) {
	t.Parallel()
	m := admin.NewMetrics("v", time.Now)
	bins := func() []relay.BinStatus {
		return []relay.BinStatus{
			{To: relay.Destination{Route: "a"}, Loaded: 3, Away: 2, Site: "s", Connections: 4, Idle: 1, Window: 7},
			{To: relay.Destination{Route: "b"}, Loaded: 1, Site: "s", Connections: 4, Idle: 1, Window: 7, Closed: true},
		}
	}
	m.Watch(bins, func() []relay.Figure {
		return []relay.Figure{
			{Name: "spool_free_bytes", Help: "Free.", Value: 12},
			{Name: "spool_syncs_total", Help: "Syncs.", Grows: true, Labels: []string{"of", "log"}, Value: 5},
		}
	})
	wantLines(t, scrape(t, m),
		`postrider_destinations 2`, `postrider_destinations_closed 1`, `postrider_deliveries_loaded 4`, `postrider_deliveries_underway 2`,
		`postrider_outbound_connections 4`, `postrider_outbound_connections_idle 1`, // one site
		`postrider_destination_closed{destination="b"} 1`, `postrider_destination_window{destination="a"} 7`,
		`postrider_spool_free_bytes 12`, `# TYPE postrider_spool_syncs_total counter`, `postrider_spool_syncs_total{of="log"} 5`,
	)
}

// Mail to ten thousand domains makes no more series than mail to a hundred; nothing is
// counted twice or lost, no counter falls, and the busiest end up with a series.
func TestTrafficIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	m := admin.NewMetrics("v", func() time.Time { return now })
	series := regexp.MustCompile(`(?m)^postrider_destination_recipients_total\{destination="([^"]*)",status="delivered"\} (\d+)$`)
	sent := 0
	send := func(domain string, n int) {
		for range n {
			m.Attempted(attempted(domain, relay.Outcome{Status: relay.Delivered}))
		}
		sent += n
	}
	other := 0
	for round := range 4 {
		for i := range 2500 {
			send(fmt.Sprintf("d%d-%d.test", round, i), 1)
		}
		send("busy.test", 500)
		now = now.Add(2 * time.Minute)
		found := series.FindAllStringSubmatch(scrape(t, m), -1)
		if len(found) > 51 {
			t.Fatalf("%d series, want at most 51", len(found))
		}
		sum, busy := 0, false
		for _, f := range found {
			n, err := strconv.Atoi(f[2])
			if err != nil {
				t.Fatal(err)
			}
			sum += n
			busy = busy || f[1] == "internet/busy.test" && n > 0
			if f[1] == "other" {
				if n < other {
					t.Errorf("other fell from %d to %d", other, n)
				}
				other = n
			}
		}
		if sum != sent {
			t.Errorf("round %d: %d counted, want %d", round, sum, sent)
		}
		if round == 3 && !busy {
			t.Error("the busiest destination has no series")
		}
	}
}

func BenchmarkMetrics(b *testing.B) {
	m := admin.NewMetrics("v", time.Now)
	accepted := relay.Accepted{Message: &relay.Message{Origin: relay.Origin{Listener: "local"}, Envelope: relay.Envelope{Recipients: make([]relay.Recipient, 1)}}}
	done := attempted("one.test", relay.Outcome{Status: relay.Delivered})
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			m.Accepted(accepted)
			m.Attempted(done)
		}
	})
}
