package milter_test

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"postrider/inbound/milter"
	"postrider/relay"
)

// A milter that is down is left alone, with the result that its failure has anyway. A message that
// takes a milter too long must not have it left alone where others would then pass unseen.
func TestLeftAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		mute    bool // takes no session
		accept  bool
		leaving bool
	}{
		{"takes no session", true, false, true},
		{"takes no session, and mail passes", true, true, true},
		{"takes too long over a message", false, false, true},
		{"takes too long over a message, and mail passes", false, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			address := silent(t, &asked)
			if !tt.mute {
				address = serve(t, filter{seen: &strings.Builder{}, end: func(*gomilter.Modifier) (gomilter.Response, error) {
					asked.Add(1)
					<-t.Context().Done()
					return gomilter.RespAccept, nil
				}})
			}
			faults := 0
			f, err := milter.New(milter.Options{
				Name: "test", Address: address, Timeout: 100 * time.Millisecond, Accept: tt.accept, Fault: func(relay.Fault) { faults++ },
				Breaker: relay.NewBreaker(relay.BreakerOptions{Failures: 2, First: time.Hour}),
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 4 {
				if got := f.Judge(t.Context(), message(), strings.NewReader("x")); (got.Reply == nil) != tt.accept || len(got.Trace) != 1 {
					t.Errorf("got %v, trace %v, with accept %t", got.Reply, got.Trace, tt.accept)
				}
			}
			want := 4
			if tt.leaving {
				want = 2
			}
			if faults != want || !tt.mute && int(asked.Load()) != want {
				t.Errorf("asked %d times, told of %d faults, want %d", asked.Load(), faults, want)
			}
		})
	}
}

// silent takes connections, counts them and says nothing.
func silent(t *testing.T, count *atomic.Int32) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			count.Add(1)
			go func() {
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return l.Addr().String()
}
