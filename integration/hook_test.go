package integration_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/textproto"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postrider/outbound/outboundtest"
)

const hookSecret = "0123456789abcdef0123456789abcdef"

// judging is a service of an operator's own: it answers by the subject, questions that are signed.
func judging(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mac := hmac.New(sha256.New, []byte(hookSecret))
		fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("Webhook-Signature") != want {
			t.Errorf("the signature is %q, want %q", r.Header.Get("Webhook-Signature"), want)
		}
		var q struct {
			Sender     string
			Recipients []string
			Header     []struct{ Name, Value string }
		}
		if err := json.Unmarshal(body, &q); err != nil || q.Sender != "ann@example.com" || len(q.Recipients) != 1 {
			t.Errorf("asked %s: %v", body, err)
		}
		for _, f := range q.Header {
			if f.Name == "Subject" {
				io.WriteString(w, f.Value)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// The real binary asks a hook about each message and does what it says. When the hook is gone mail
// waits at the client, or passes as configured; after a few times it is left alone, which the log and
// the metrics say once.
func TestHook(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	hook := judging(t)
	peer := outboundtest.NewPeer(t, outboundtest.Script{})
	relay := newRelay(t, smartHost(peer.Addr())+"rules:\n  - {name: marked, at: data, when: '\"vip\" in tags', set_header: [\"X-Rule: saw the tag\"]}\n")
	rewrite(t, relay, `allow: ["127.0.0.0/8"]}`, fmt.Sprintf(`allow: ["127.0.0.0/8"], hooks: [{name: judge, url: %q, secret: %s, timeout: 10s}]}`, hook.URL, hookSecret))
	start(t, ctx, relay)
	post := func(answer string) error {
		content := "From: ann@example.com\r\nSubject: " + answer + "\r\n\r\nText.\r\n"
		err := smtp.SendMail(relay.Addr(), nil, "ann@example.com", []string{"b@example.net"}, []byte(content))
		if reply, ok := errors.AsType[*textproto.Error](err); ok {
			return errors.New(strconv.Itoa(reply.Code) + " " + reply.Msg)
		}
		return err
	}
	for answer, want := range map[string]string{
		`{"action": "reject", "code": 554, "reason": "5.7.1 Not from you"}`: "554 5.7.1 Not from you",
		`{"action": "reject"}`:                      "550 5.7.1 ",
		`{"action": "defer"}`:                       "451 4.7.1 ",
		`{"action": "reject", "reson": "misspelt"}`: "451 4.3.0 ",
		`not JSON`: "451 4.3.0 ",
	} {
		if err := post(answer); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", answer, err, want)
		}
	}
	for _, answer := range []string{
		`{"action": "discard"}`, `{"action": "hold", "reason": "look at it"}`,
		`{"action": "accept", "tags": ["vip"], "headers": [{"name": "X-Judge", "value": "fine"}]}`,
	} {
		if err := post(answer); err != nil {
			t.Errorf("%s: %v", answer, err)
		}
	}
	awaitCount(t, ctx, peer, 1)
	if got := string(peer.Messages()[0].Body); !strings.Contains(got, "X-Judge: fine\r\n") || !strings.Contains(got, "X-Rule: saw the tag\r\n") {
		t.Errorf("what was accepted is\n%s", got)
	}
	ask(t, ctx, relay, "hook judge: look at it", "queue", "list")

	hook.Close()
	for range 7 {
		if err := post(`{"action": "accept"}`); err == nil || !strings.HasPrefix(err.Error(), "451 4.3.0") {
			t.Errorf("without the hook: %v, want 451", err)
		}
	}
	metrics := overSocket(t, ctx, filepath.Join(filepath.Dir(relay.Config), "admin.sock"), "/metrics")
	for _, want := range []string{`postrider_service_left_alone{service="hook judge"} 1`, `postrider_service_skipped_total{service="hook judge"} 2`} {
		if !strings.Contains(metrics, "\n"+want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	away := func(line string) bool { return strings.Contains(line, `"message":"left alone"`) }
	if _, err := relay.Await(ctx, "the hook to be left alone", away); err != nil {
		t.Fatal(err)
	}
	log := strings.Join(relay.Lines(), "\n")
	if n := strings.Count(log, `"message":"left alone"`); n != 1 {
		t.Errorf("the log says %d times that the hook is left alone, want once", n)
	}
	rewrite(t, relay, "timeout: 10s", "timeout: 10s, failure: accept")
	ask(t, ctx, relay, "listen[local].hooks[judge].failure", "reload")
	if err := post(`{"action": "reject"}`); err != nil {
		t.Errorf("with failure: accept: %v", err)
	}
	awaitCount(t, ctx, peer, 2)
}
