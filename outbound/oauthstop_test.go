package outbound_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postrider/outbound"
)

// slow is a token endpoint, reached without a network, that takes its time and replaces the
// refresh token of whoever asks, whether or not the answer is waited for.
type slow struct {
	takes    time.Duration
	asked    chan struct{}
	requests int
}

func (s *slow) RoundTrip(r *http.Request) (*http.Response, error) {
	s.requests++
	close(s.asked)
	select {
	case <-time.After(s.takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	w.WriteString(`{"access_token":"a","token_type":"Bearer","expires_in":3600,"refresh_token":"refresh-1"}`)
	return w.Result(), nil
}

func personal(t *testing.T) *outbound.Credentials {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token.json")
	if err := os.WriteFile(name, []byte(`{"version":1,"user":"relay@example.test","refresh_token":"refresh-0"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return &outbound.Credentials{User: "relay@example.test", OAuth: &outbound.OAuth{
		Provider: "custom", ClientID: "client", TokenURL: "https://id.test/token", TokenFile: name,
	}}
}

// Whoever asks for a token is stopped while the endpoint is about to answer: what it gives is on disk
// before the asker is gone. One that hangs holds the end up for some seconds only, whatever it had left.
func TestOAuthStoppedMidway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		takes, left time.Duration // left is how long the asker waits before it is stopped
		want        string        // the refresh token on disk
		within      time.Duration // from the stop
	}{
		{"slow", 4 * time.Second, time.Second, "refresh-1", 3 * time.Second},
		{"slow, stopped late", 9 * time.Second, 8 * time.Second, "refresh-1", time.Second},
		{"hangs", time.Hour, time.Second, "refresh-0", 5 * time.Second},
		{"hangs, stopped late", time.Hour, 8 * time.Second, "refresh-0", 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cred, endpoint := personal(t), &slow{takes: tt.takes, asked: make(chan struct{})}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- cred.Check(ctx, &http.Client{Transport: endpoint}, time.Now) }()
				<-endpoint.asked
				time.Sleep(tt.left)
				stop()
				stopped := time.Now()
				err := <-ended
				if got := time.Since(stopped); got != tt.within {
					t.Errorf("the asker ended %s after the stop (%v), want %s", got, err, tt.within)
				}
				if stored, err := outbound.ReadToken(cred.OAuth.TokenFile); err != nil || stored.Refresh != tt.want {
					t.Errorf("on disk %q, %v; want %q", stored.Refresh, err, tt.want)
				}
			})
		})
	}
}

// Whoever is stopped while another process has the file has spent nothing, and does not begin to. One
// that keeps the file for too long is told of as what it is.
func TestOAuthStoppedAtLock(t *testing.T) {
	t.Parallel()
	for _, stopped := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			cred, endpoint := personal(t), &slow{asked: make(chan struct{})}
			dir, err := os.Open(filepath.Dir(cred.OAuth.TokenFile))
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if stopped {
				time.AfterFunc(time.Second, stop)
			}
			began := time.Now()
			err = cred.Check(ctx, &http.Client{Transport: endpoint}, time.Now)
			if stopped && (!errors.Is(err, context.Canceled) || time.Since(began) != time.Second) {
				t.Errorf("stopped after a second: %v after %s", err, time.Since(began))
			}
			if !stopped && (err == nil || !strings.Contains(err.Error(), "in use by another process")) {
				t.Errorf("a file that is never free: %v", err)
			}
			if endpoint.requests != 0 {
				t.Errorf("%d requests without the file", endpoint.requests)
			}
		})
	}
}
