package hook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"postrider/inbound/hook"
	"postrider/relay"
)

func message() *relay.Message {
	m := &relay.Message{
		ID: relay.ID{1}, Size: 42, Received: time.Unix(1000, 0), Tags: []string{"bulk"},
		Header: []byte("Received: from us\r\n\tby us\r\nSubject: one\r\n two\r\n\r\n"), Verified: relay.Verified{SPF: "pass"},
	}
	m.Origin = relay.Origin{Listener: "in", Client: netip.MustParseAddr("192.0.2.7"), Greeting: "client.test", User: "ann", Protocol: "ESMTPA"}
	m.Envelope.Sender = relay.Address{Local: "a", Domain: "example.com"}
	m.Envelope.Recipients = []relay.Recipient{{Address: relay.Address{Local: "b", Domain: "example.net"}}}
	return m
}

func judge(t *testing.T, o hook.Options) relay.Judgement {
	t.Helper()
	o.Name = "test"
	h, err := hook.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h.Judge(t.Context(), message(), strings.NewReader("body\r\n"))
}

func serve(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

// Each answer has its consequence, and one that is not understood is a failure, never a pass.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const failed = "cannot be asked, and defers"
	for _, tt := range []struct {
		status              int
		answer, reply, said string
		edits               *relay.Edits
	}{
		{answer: `{"action": "accept"}`, said: "pass"},
		{status: 204, said: "pass"},
		{answer: `{"action": "accept", "tags": ["x"], "headers": [{"name": "X-A", "value": "b"}]}`, said: "pass, tag x, header X-A added",
			edits: &relay.Edits{Tags: []string{"x"}, Header: []relay.HeaderEdit{{Name: "X-A", Value: "b"}}}},
		{answer: `{"action": "reject"}`, reply: "550 5.7.1 Message rejected", said: "reply 550 5.7.1 Message rejected"},
		{answer: `{"action": "reject", "code": 554, "reason": "5.6.0 not\r\nso"}`, reply: "554 5.6.0 not  so", said: "reply 554 5.6.0 not  so"},
		{answer: `{"action": "defer", "reason": "busy"}`, reply: "451 4.7.1 busy", said: "reply 451 4.7.1 busy"},
		{answer: `{"action": "hold", "reason": "odd", "tags": ["x"]}`, said: "hold: odd, tag x", edits: &relay.Edits{Held: "hook test: odd", Tags: []string{"x"}}},
		{answer: `{"action": "discard"}`, said: "discard", edits: &relay.Edits{Discard: true}},
		{answer: `{"action": "rejct"}`, reply: "451 4.3.0", said: failed},
		{answer: `{"action": "defer", "code": 550}`, reply: "451 4.3.0", said: failed},
		{answer: `{"action": "accept", "quarantine": true}`, reply: "451 4.3.0", said: failed},
		{answer: `{"action": "accept"} {"action": "reject"}`, reply: "451 4.3.0", said: failed},
		{answer: `{"action": "accept", "headers": [{"name": "X-A", "value": "b\r\nX-B: c"}]}`, reply: "451 4.3.0", said: failed},
		{answer: `{"action": "accept", "headers": [{"name": "Received", "value": "b"}]}`, reply: "451 4.3.0", said: failed},
		{answer: `{"action": "accept", "tags": ["a b"]}`, reply: "451 4.3.0", said: failed},
		{answer: `{}`, reply: "451 4.3.0", said: failed},
		{answer: ``, reply: "451 4.3.0", said: failed},
		{answer: `<html>`, reply: "451 4.3.0", said: failed},
		{answer: strings.Repeat(" ", 1<<17) + `{"action": "accept"}`, reply: "451 4.3.0", said: failed},
		{status: 500, answer: `{"action": "accept"}`, reply: "451 4.3.0", said: failed},
		{status: 302, answer: `{"action": "accept"}`, reply: "451 4.3.0", said: failed},
	} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(max(tt.status, 200))
			if r.URL.Path != "/elsewhere" {
				io.WriteString(w, tt.answer)
			}
		})
		faults := 0
		got := judge(t, hook.Options{URL: url, Fault: func(relay.Fault) { faults++ }})
		reply := ""
		if got.Reply != nil {
			reply = got.Reply.String()
		}
		if !strings.HasPrefix(reply, tt.reply) || tt.reply == "" && reply != "" || faults == 1 != (tt.said == failed) {
			t.Errorf("%d %.80s: reply %q with %d faults, want %q", tt.status, tt.answer, reply, faults, tt.reply)
		}
		if len(got.Trace) != 1 || got.Trace[0] != (relay.Verdict{Rule: "hook test", Stage: "data", Said: tt.said}) {
			t.Errorf("%d %.80s: trace %+v, want %q", tt.status, tt.answer, got.Trace, tt.said)
		}
		if !reflect.DeepEqual(got.Edits, tt.edits) || got.Header != nil {
			t.Errorf("%d %.80s: edits %+v, want %+v", tt.status, tt.answer, got.Edits, tt.edits)
		}
	}
}

// The service is told what is known of the message, with a signature that it can check.
func TestQuestion(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	var body []byte
	var seen http.Header
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		seen = r.Header
		w.WriteHeader(204)
	})
	if got := judge(t, hook.Options{URL: url, Secret: secret, Now: func() time.Time { return time.Unix(1234, 0) }}); got.Reply != nil {
		t.Fatal(got.Reply)
	}
	var q hook.Question
	if err := json.Unmarshal(body, &q); err != nil {
		t.Fatal(err)
	}
	id := message().ID.String()
	want := hook.Question{
		Version: 1, ID: id, Received: time.Unix(1000, 0).UTC(), Listener: "in", Client: "192.0.2.7", Helo: "client.test", User: "ann",
		Protocol: "ESMTPA", Sender: "a@example.com", Recipients: []string{"b@example.net"}, Size: 42, Tags: []string{"bulk"}, SPF: "pass",
		Header: []hook.Field{{Name: "Received", Value: "from us\tby us"}, {Name: "Subject", Value: "one two"}},
	}
	if !reflect.DeepEqual(q, want) {
		t.Errorf("it was told %+v, want %+v", q, want)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("msg_" + id + ".1234." + string(body)))
	if got, want := seen.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
		t.Errorf("the signature is %q, want %q", got, want)
	}
	if seen.Get("Webhook-Id") != "msg_"+id || seen.Get("Webhook-Timestamp") != "1234" || seen.Get("Content-Type") != "application/json" {
		t.Errorf("it came with %v", seen)
	}
}

// A service that is not there or hangs is a failure within its time: mail waits at the client, or
// passes where that is configured. No more messages are with it at once than may be.
func TestFailures(t *testing.T) {
	t.Parallel()
	inside, leave := make(chan struct{}, 9), make(chan struct{})
	hangs := serve(t, func(http.ResponseWriter, *http.Request) { inside <- struct{}{}; <-leave })
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, url := range []string{hangs, gone.URL} {
		for _, accept := range []bool{false, true} {
			faults := 0
			got := judge(t, hook.Options{URL: url, Timeout: 50 * time.Millisecond, Accept: accept, Fault: func(relay.Fault) { faults++ }})
			if got.Reply == nil != accept || faults != 1 || got.Reply != nil && got.Reply.Permanent() {
				t.Errorf("%s: reply %v with accept %v, %d faults", url, got.Reply, accept, faults)
			}
		}
	}
	<-inside
	<-inside
	h, err := hook.New(hook.Options{URL: hangs, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan relay.Judgement)
	go func() { first <- h.Judge(context.Background(), message(), nil) }()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if got := h.Judge(ctx, message(), nil); got.Reply == nil || len(inside) != 0 {
		t.Error("a second message did not have to wait")
	}
	close(leave)
	<-first
}

// A secret goes nowhere where it could be read, and is long enough to be one.
func TestOptions(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("s", 24)
	for _, tt := range []struct {
		url, secret string
		ok          bool
	}{
		{"https://judge.example.com/mail", "", true},
		{"https://judge.example.com/mail", long, true},
		{"https://judge.example.com/mail", "short", false},
		{"https://judge.example.com/mail", "whsec_***", false},
		{"http://judge.example.com/mail", "", true},
		{"http://judge.example.com/mail", long, false},
		{"http://user:pw@judge.example.com/mail", "", false},
		{"http://127.0.0.1:80/", long, true},
		{"http://[::1]:80/", long, true},
		{"http://localhost/", long, true},
		{"judge.example.com", "", false},
		{"ftp://judge.example.com", "", false},
		{"", "", false},
	} {
		if _, err := hook.New(hook.Options{URL: tt.url, Secret: tt.secret}); (err == nil) != tt.ok {
			t.Errorf("%q with %q: %v", tt.url, tt.secret, err)
		}
	}
}
