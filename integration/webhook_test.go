package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// checkSignature calls the documentation's function with what came, and with what somebody has changed.
const checkSignature = `
import sys
secret, name, at, signature, body = sys.argv[1:]
body = body.encode()
headers = {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": signature}
assert genuine(secret, headers, body), "not taken"
assert genuine(secret, headers | {"webhook-signature": "v1,other " + signature}, body), "one of several not taken"
assert not genuine(secret, headers, body + b" "), "a changed body taken"
assert not genuine(secret, headers | {"webhook-id": "other"}, body), "another id taken"
assert not genuine(secret, headers | {"webhook-timestamp": "1700000000"}, body), "an old one taken"
assert not genuine("whsec_" + "A" * 32, headers, body), "another secret taken"
print("genuine")
`

// What consumers are told to do takes what the relay posts, and nothing else.
func TestWebhookSignature(t *testing.T) {
	t.Parallel()
	needs(t, "python3")
	binary(t) // building it takes its time
	text, err := os.ReadFile("../configs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("(?s)```python\n(.*?)```").FindSubmatch(text)
	if program == nil {
		t.Fatal("the documentation has no example")
	}
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	for _, secret := range []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "0123456789abcdef0123456789abcdef"} {
		posts := make(chan []string, 1)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			select {
			case posts <- []string{r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), r.Header.Get("Webhook-Signature"), string(body)}:
			default:
			}
		}))
		t.Cleanup(server.Close)
		relay := startRelay(t, ctx, smartHost(sink.Addr())+fmt.Sprintf("events: {webhooks: [{name: shop, url: %q, secret: %s}]}\n", server.URL, secret))
		if err := send(relay.Addr(), "ann@one.test", "bob@two.test"); err != nil {
			t.Fatal(err)
		}
		select {
		case post := <-posts:
			cmd := exec.CommandContext(ctx, "python3", append([]string{"-c", string(program[1]) + checkSignature, secret}, post...)...)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "genuine") {
				t.Errorf("%q: %v\n%s", post, err, out)
			}
		case <-ctx.Done():
			t.Fatal("nothing was posted")
		}
	}
}
