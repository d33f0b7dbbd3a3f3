package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/admin"
)

func address(text string) relay.Address {
	local, domain, _ := strings.Cut(text, "@")
	return relay.Address{Local: local, Domain: domain}
}

func deliveredTo(text, domain string) relay.Attempted {
	return attempted(domain, relay.Outcome{
		Recipient: relay.Recipient{Address: address(text)}, Status: relay.Delivered,
		Reply: relay.Reply{Code: 250, Text: "Ok"}, Host: "mx." + domain,
	})
}

// next reads events until one of the kind comes.
func next(t *testing.T, lines *json.Decoder, kind string) admin.Event {
	t.Helper()
	for {
		var e admin.Event
		if err := lines.Decode(&e); err != nil {
			t.Fatalf("waiting for %s: %v", kind, err)
		}
		if e.Event == kind {
			return e
		}
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	s := serve(t, 0)
	resp := s.get(t, "/v1/events?to=*@one.test&event=delivered,bounced&destination=internet/*", nil)
	lines := json.NewDecoder(resp.Body)
	s.events.Attempted(deliveredTo("b@two.test", "two.test"))
	s.events.Accepted(relay.Accepted{Message: &relay.Message{}})
	s.events.Attempted(deliveredTo("b@one.test", "one.test"))
	var e admin.Event
	if err := lines.Decode(&e); err != nil {
		t.Fatal(err)
	}
	if e.Event != "delivered" || e.To != "b@one.test" || e.Destination != "internet/one.test" || e.Host != "mx.one.test" ||
		e.Code != 250 || e.Attempt != 1 || e.QueueMS != 1000 || e.ConnectMS != 20 || e.TransmitMS != 40 || e.TLS == "" || e.Time.IsZero() {
		t.Errorf("got %+v", e)
	}
}

// Each fact has its word and what is known of it.
func TestEventOfEachFact(t *testing.T) {
	t.Parallel()
	s := serve(t, 0)
	lines := json.NewDecoder(s.get(t, "/v1/events", nil).Body)
	origin := relay.Origin{Listener: "local", User: "shop"}
	s.events.Accepted(relay.Accepted{
		Message: &relay.Message{Origin: origin, Size: 9, Envelope: relay.Envelope{
			Sender: address("a@b.test"), Recipients: []relay.Recipient{{Address: address("c@d.test")}}}},
		Destinations: []relay.Destination{{Route: "r"}}, Unsigned: errors.New("no From"),
	})
	s.events.Refused(relay.Refused{Origin: &origin, Stage: "auth", Login: "eve", Reply: relay.NewReply(535, relay.EnhancedCode{5, 7, 8}, "No"), Reason: relay.ReasonCredentials})
	s.events.Notified(relay.Notified{Status: relay.Bounced, To: address("a@b.test")})
	s.events.Notified(relay.Notified{Status: relay.Expired, Dropped: true})
	s.events.Gated(relay.Gated{Name: "mx.test", Closed: true, Reply: relay.Reply{Code: 451, Text: "refused", Err: errors.New("dial")}})
	s.events.Gated(relay.Gated{Name: "mx.test"})
	s.events.Faulted(relay.Fault{Doing: "think", Err: errors.New("cannot")})
	if e := next(t, lines, "accepted"); e.From != "a@b.test" || e.To != "c@d.test" || e.Destination != "r" || e.User != "shop" || !strings.Contains(e.Cause, "no From") {
		t.Errorf("accepted: %+v", e)
	}
	if e := next(t, lines, "refused"); e.User != "eve" || e.Stage != "auth" || e.Reason != "credentials" || e.Code != 535 || e.Enhanced != "5.7.8" {
		t.Errorf("refused: %+v", e)
	}
	if e := next(t, lines, "notified"); e.To != "a@b.test" || e.Reason != "bounced" || e.Notice == "" {
		t.Errorf("notified: %+v", e)
	}
	if e := next(t, lines, "notice dropped"); e.Reason != "expired" {
		t.Errorf("dropped: %+v", e)
	}
	if e := next(t, lines, "unreachable"); e.Site != "mx.test" || e.Cause != "dial" {
		t.Errorf("unreachable: %+v", e)
	}
	if e := next(t, lines, "reachable"); e.Site != "mx.test" {
		t.Errorf("reachable: %+v", e)
	}
	if e := next(t, lines, "fault"); e.Doing != "think" || e.Cause != "cannot" {
		t.Errorf("fault: %+v", e)
	}
}

// A browser gets server-sent events.
func TestTailServerSent(t *testing.T) {
	t.Parallel()
	s := serve(t, 0)
	resp := s.get(t, "/v1/events", http.Header{"Accept": {"text/event-stream"}})
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	s.events.Gated(relay.Gated{Name: "mx.test"})
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, `data: {"time":`) || !strings.Contains(line, `"event":"reachable"`) {
		t.Errorf("got %q, %v", line, err)
	}
}

// A reader that does not read holds nobody up, and learns what it has missed.
func TestTailSlowReader(t *testing.T) {
	t.Parallel()
	s := serve(t, 0)
	lines := json.NewDecoder(s.get(t, "/v1/events?event=reachable", nil).Body)
	const many = 200_000
	told := make(chan struct{})
	go func() {
		defer close(told)
		for range many {
			s.events.Gated(relay.Gated{Name: "a site with a name that fills the socket's buffers soon"})
		}
	}()
	select {
	case <-told: // nothing has been read yet
	case <-time.After(20 * time.Second):
		t.Fatal("facts wait for a reader")
	}
	var got, lost int64
	for got+lost < many {
		var e admin.Event
		if err := lines.Decode(&e); err != nil {
			t.Fatalf("after %d events and %d lost: %v", got, lost, err)
		}
		if e.Event == admin.EventLost {
			lost += e.Lost
		} else {
			got++
		}
	}
	if got+lost != many || lost == 0 {
		t.Errorf("%d read and %d said to be lost, want %d together, and some lost", got, lost, many)
	}
}

func TestTailRefuses(t *testing.T) {
	t.Parallel()
	s := serve(t, 0)
	resp, err := http.Get("http://" + s.addr + "/v1/events?event=" + url.QueryEscape("delivred"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// get asks over TCP for a stream that ends with the test.
func (s *serving) get(t *testing.T, path string, header http.Header) *http.Response {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		resp.Body.Close()
	})
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, resp.Status)
	}
	return resp
}

func BenchmarkEventsUnwatched(b *testing.B) {
	e := admin.NewEvents(time.Now)
	done := deliveredTo("a@one.test", "one.test")
	b.ReportAllocs()
	for b.Loop() {
		e.Attempted(done)
	}
}
