package outbound_test

import (
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// book has a transcript of every session.
type book struct {
	mu  sync.Mutex
	all strings.Builder
}

func (b *book) Transcribe(relay.Talk) *relay.Transcript {
	return relay.NewTranscript(b, time.Now, "1")
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *book) Close() error { return nil }

func (b *book) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// A host that repeats what it was told of credentials, in whatever form, is quoted without them: in the
// reason that operators see, in the error behind it, and in a transcript.
func TestRefusalIsScrubbed(t *testing.T) {
	t.Parallel()
	b64 := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	const user, password = "relay@example.test", "correct horse"
	for _, tt := range []struct{ name, mechanism, answer, want string }{
		{"password", "plain", "535 5.7.8 no " + user + " with " + password + " here", "no " + user + " with *** here"},
		{"response", "plain", "535 5.7.8 cannot decode " + b64("\x00"+user+"\x00"+password), "cannot decode ***"},
		{"part of the response", "plain", "535 5.7.8 got " + b64(password), "got ***"},
		{"second line", "plain", "535-5.7.8 no\r\n535 5.7.8 AUTH PLAIN " + b64("\x00"+user+"\x00"+password), "no AUTH PLAIN ***"},
		{"later", "login", "454 4.7.0 try " + b64(password) + " later, " + user, "try *** later, " + user},
		{"garbage", "plain", "what is " + password + "?", "did not answer in SMTP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			book := new(book)
			p := outboundtest.NewPeer(t, outboundtest.Script{
				Users: map[string]string{user: password}, On: outboundtest.Answer(map[string]string{"AUTH": tt.answer}),
			})
			tr := smart(t, func(o *outbound.Options) {
				o.Transcripts = book
				o.Routes[0].Auth = &outbound.Credentials{User: user, Password: password, Mechanism: tt.mechanism}
			}, p)
			r := dialFault(t, tr)
			if !strings.Contains(r.Text, tt.want) {
				t.Errorf("reply %s, want %q in it", r, tt.want)
			}
			text := book.text()
			if !strings.Contains(text, "AUTH "+strings.ToUpper(tt.mechanism)) {
				t.Errorf("a transcript without AUTH:\n%s", text)
			}
			for _, secret := range []string{password, b64(password), b64("\x00" + user + "\x00" + password)} {
				if strings.Contains(r.Error()+text, secret) {
					t.Errorf("%q is seen:\n%v\n%s", secret, r, text)
				}
			}
		})
	}
}
