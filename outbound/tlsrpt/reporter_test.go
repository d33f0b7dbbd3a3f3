package tlsrpt_test

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postrider/outbound/tlsrpt"
	"postrider/relay"
)

// house is a Reporter with everything around it, in the time of a synctest bubble, which begins at
// midnight UTC.
type house struct {
	dir     string
	ledger  *tlsrpt.Ledger
	txts    map[string][]string
	handler http.HandlerFunc
	posted  []posted
	faults  []relay.Fault
	// onPost, where set, comes when a report has been queued.
	onPost func()
}

type posted struct {
	envelope relay.Envelope
	content  string
}

func newHouse(t *testing.T, dir string) *house {
	t.Helper()
	h := &house{dir: dir, txts: make(map[string][]string)}
	h.open(t)
	return h
}

// open is a start of the process.
func (h *house) open(t *testing.T) {
	t.Helper()
	ledger, err := tlsrpt.NewLedger(h.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	h.ledger = ledger
}

// RoundTrip implements http.RoundTripper: the HTTPS servers of all domains.
func (h *house) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.handler(w, r)
	return w.Result(), nil
}

// run runs the reporter for a while.
func (h *house) run(t *testing.T, d time.Duration) {
	t.Helper()
	r, err := tlsrpt.NewReporter(tlsrpt.Options{
		Ledger: h.ledger, Hostname: "relay.test", Contact: relay.Address{Local: "tls", Domain: "us.test"},
		Lookup: func(_ context.Context, name string) ([]string, error) { return h.txts[name], nil },
		Post: func(_ context.Context, e relay.Envelope, content io.Reader) error {
			text, err := io.ReadAll(content)
			h.posted = append(h.posted, posted{e, string(text)})
			if h.onPost != nil {
				h.onPost()
			}
			return err
		},
		HTTP: &http.Client{Transport: h}, Now: time.Now,
		Rand:  func(int64) int64 { return int64(2 * time.Hour) },
		Fault: func(f relay.Fault) { h.faults = append(h.faults, f) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// files lists what the ledger keeps.
func (h *house) files(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func session(domain string, failure tlsrpt.ResultType) tlsrpt.Session {
	s := tlsrpt.Session{Domain: domain, Policy: tlsrpt.Policy{
		Type: tlsrpt.STS, Domain: domain, Strings: []string{"version: STSv1", "mode: testing"}, Hosts: []string{"*." + domain},
	}}
	if failure != "" {
		s.Failure = tlsrpt.Failure{Type: failure, SendingIP: "192.0.2.1", Host: "mx." + domain, Greeting: "mx", ReceivingIP: "192.0.2.2", Reason: "why"}
	}
	return s
}

func (h *house) record(sessions ...tlsrpt.Session) {
	for _, s := range sessions {
		h.ledger.Record(s)
	}
}

// unzip reads a report as an independent reader of the format.
func unzip(t *testing.T, r io.Reader) map[string]any {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	var report map[string]any
	if err := json.NewDecoder(z).Decode(&report); err != nil {
		t.Fatal(err)
	}
	return report
}

// A day's report goes out by mail after midnight, once, and has what RFC 8460 asks for.
func TestReportByMail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, dir)
		h.txts["_smtp._tls.to.test"] = []string{"v=TLSRPTv1; rua=mailto:tls@reports.test"}
		h.record(session("to.test", ""), session("to.test", ""), session("to.test", tlsrpt.CertificateExpired), session("other.test", ""))
		h.run(t, 25*time.Hour)
		if len(h.posted) != 0 {
			t.Fatalf("%d reports before their time", len(h.posted))
		}
		h.open(t) // a start between
		h.run(t, 48*time.Hour)
		if len(h.posted) != 1 || len(h.faults) != 0 {
			t.Fatalf("%d reports, want 1; faults %v", len(h.posted), h.faults)
		}
		if got := h.files(t); got != "" {
			t.Errorf("left: %s", got)
		}
		checkMail(t, h.posted[0])
	})
}

func checkMail(t *testing.T, p posted) {
	t.Helper()
	if to := p.envelope.Recipients[0]; to.Address.String() != "tls@reports.test" || to.Notify != relay.NotifyNever || !p.envelope.Sender.IsNull() {
		t.Errorf("envelope %+v", p.envelope)
	}
	m, err := mail.ReadMessage(strings.NewReader(p.content))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"From": "<tls@us.test>", "To": "<tls@reports.test>", "TLS-Required": "No",
		"TLS-Report-Domain": "to.test", "TLS-Report-Submitter": "relay.test",
		"Subject": "Report Domain: to.test Submitter: relay.test Report-ID: <2000-01-01.to.test@relay.test>",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Fatalf("content type %s %v: %v", kind, params, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	if first, err := parts.NextPart(); err != nil || first.Header.Get("Content-Type") != "text/plain; charset=us-ascii" {
		t.Fatalf("first part: %v", err)
	}
	second, err := parts.NextRawPart()
	if err != nil || second.Header.Get("Content-Type") != "application/tlsrpt+gzip" {
		t.Fatalf("second part: %v", err)
	}
	if got, want := second.FileName(), "relay.test!to.test!946684800!946771199.json.gz"; got != want {
		t.Errorf("file name %s, want %s", got, want)
	}
	got := unzip(t, base64.NewDecoder(base64.StdEncoding, second))
	want := map[string]any{
		"organization-name": "us.test", "contact-info": "tls@us.test", "report-id": "2000-01-01.to.test@relay.test",
		"date-range": map[string]any{"start-datetime": "2000-01-01T00:00:00Z", "end-datetime": "2000-01-01T23:59:59Z"},
		"policies": []any{map[string]any{
			"policy":  map[string]any{"policy-type": "sts", "policy-domain": "to.test", "policy-string": []any{"version: STSv1", "mode: testing"}, "mx-host": []any{"*.to.test"}},
			"summary": map[string]any{"total-successful-session-count": 2., "total-failure-session-count": 1.},
			"failure-details": []any{map[string]any{
				"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.1", "receiving-mx-hostname": "mx.to.test",
				"receiving-mx-helo": "mx", "receiving-ip": "192.0.2.2", "failure-reason-code": "why", "failed-session-count": 1.,
			}},
		}},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("report\n%v, want\n%v", got, want)
	}
}

// A report goes by HTTPS too, is tried again for a day where that fails, and does not go twice to
// whom it has reached.
func TestReportByHTTPS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, dir)
		h.txts["_smtp._tls.to.test"] = []string{"v=TLSRPTv1; rua=mailto:tls@reports.test,https://reports.test/v1"}
		h.record(session("to.test", ""))
		tries, taken := 0, 0
		h.handler = func(w http.ResponseWriter, r *http.Request) {
			if tries++; tries < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			taken++
			if r.Method != http.MethodPost || r.URL.String() != "https://reports.test/v1" || r.Header.Get("Content-Type") != "application/tlsrpt+gzip" {
				t.Errorf("%s %s with %v", r.Method, r.URL, r.Header)
			}
			if got := unzip(t, r.Body)["report-id"]; got != "2000-01-01.to.test@relay.test" {
				t.Errorf("report %v", got)
			}
			w.WriteHeader(http.StatusCreated)
		}
		h.run(t, 26*time.Hour+10*time.Minute)
		h.open(t)
		h.run(t, 24*time.Hour)
		if tries != 3 || taken != 1 || len(h.posted) != 1 || len(h.faults) != 2 {
			t.Errorf("%d tries, %d taken, %d by mail, faults %v", tries, taken, len(h.posted), h.faults)
		}
	})
}

// What fails is tried for a day and not for ever, and costs nobody else their report.
func TestReportGivenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, dir)
		h.txts["_smtp._tls.a.test"] = []string{"v=TLSRPTv1; rua=https://a.test/"}
		h.txts["_smtp._tls.b.test"] = []string{"v=TLSRPTv1; rua=mailto:tls@b.test"}
		h.handler = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
		h.record(session("a.test", ""), session("b.test", ""))
		h.run(t, 27*time.Hour)
		if len(h.posted) != 1 || h.files(t) != "2000-01-01.json" {
			t.Fatalf("%d by mail, %s left", len(h.posted), h.files(t))
		}
		h.run(t, 48*time.Hour)
		if len(h.posted) != 1 || h.files(t) != "" {
			t.Errorf("at the end %d by mail, %s left", len(h.posted), h.files(t))
		}
	})
}

// A stop while reports are sent neither repeats what was sent nor loses what was not.
func TestStopBetweenReports(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, dir)
		for _, domain := range []string{"a.test", "b.test", "c.test"} {
			h.txts["_smtp._tls."+domain] = []string{"v=TLSRPTv1; rua=mailto:tls@" + domain}
			h.record(session(domain, ""))
		}
		h.onPost = func() { time.Sleep(5 * time.Hour) } // the run ends meanwhile
		h.run(t, 27*time.Hour)
		h.run(t, time.Hour)
		h.run(t, time.Hour)
		var to []string
		for _, p := range h.posted {
			to = append(to, p.envelope.Recipients[0].Address.Domain)
		}
		if got := strings.Join(to, " "); got != "a.test b.test c.test" || h.files(t) != "" {
			t.Errorf("sent to %s, %s left", got, h.files(t))
		}
	})
}

// What was counted survives a start, what came since the last write at most is lost, and a file
// that makes no sense is set aside and told of.
func TestLedgerOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, dir)
		h.record(session("to.test", ""))
		h.run(t, time.Minute)
		h.open(t)
		h.record(session("to.test", ""))
		h.run(t, time.Minute)
		text, err := os.ReadFile(filepath.Join(dir, "2000-01-01.json"))
		if err != nil || !strings.Contains(string(text), `"successes":2`) {
			t.Errorf("%s: %v", text, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "2000-01-01.json"), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		h.open(t)
		h.record(session("to.test", ""))
		h.run(t, time.Minute)
		if got := h.files(t); got != "2000-01-01.json 2000-01-01.json.unreadable" || len(h.faults) != 1 {
			t.Errorf("%s, faults %v", got, h.faults)
		}
	})
}

// However many peers and policies there are, a domain's counts stay small and lose nobody.
func TestLedgerIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, dir)
		h.txts["_smtp._tls.to.test"] = []string{"v=TLSRPTv1; rua=https://to.test/"}
		for i := range 1000 {
			s := session("to.test", tlsrpt.ValidationFailure)
			s.Failure.ReceivingIP = fmt.Sprint(i)
			h.record(s)
			s.Policy.Strings = []string{fmt.Sprint(i)}
			h.record(s)
		}
		h.handler = func(_ http.ResponseWriter, r *http.Request) {
			details, total, counted := 0, 0., 0.
			for _, p := range unzip(t, r.Body)["policies"].([]any) {
				total += p.(map[string]any)["summary"].(map[string]any)["total-failure-session-count"].(float64)
				for _, d := range p.(map[string]any)["failure-details"].([]any) {
					details++
					counted += d.(map[string]any)["failed-session-count"].(float64)
				}
			}
			if total != 2000 || counted != total || details > 200 {
				t.Errorf("%v sessions, %v in %d details", total, counted, details)
			}
		}
		h.run(t, 28*time.Hour)
		if h.files(t) != "" {
			t.Errorf("left: %s, faults %v", h.files(t), h.faults)
		}
	})
}
