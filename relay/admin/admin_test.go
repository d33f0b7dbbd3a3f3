package admin_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/admin"
	"postrider/relay/relaytest"
)

// Profiles are for the owner of the socket alone.
func TestSocketOnly(t *testing.T) {
	t.Parallel()
	s := serve(t, 0)
	for path, want := range map[string]int{"/healthz": 200, "/debug/pprof/": 403, "/v1/queue": 200, "/metrics": 200, "/v1/openapi.yaml": 200, "/v1": 404} {
		resp, err := http.Get("http://" + s.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, resp.StatusCode, want)
		}
	}
	dial := func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", s.socket) }
	resp, err := (&http.Client{Transport: &http.Transport{DialContext: dial}}).Get("http://relay/debug/pprof/goroutine?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("over the socket: got %d", resp.StatusCode)
	}
}

// serving is an admin server over a spool with some mail and a scheduler that does not run.
type serving struct {
	spool   relay.Spool
	client  *admin.Client
	events  *admin.Events
	metrics *admin.Metrics
	socket  string
	addr    string
	ids     []relay.ID
}

func serve(t *testing.T, messages int) *serving {
	t.Helper()
	return serveWith(t, messages, func(*admin.Options) {})
}

// serveWith is serve with other options.
func serveWith(t *testing.T, messages int, set func(*admin.Options)) *serving {
	t.Helper()
	s := &serving{spool: relaytest.NewSpool(), socket: filepath.Join(t.TempDir(), "run", "admin.sock")}
	ids := relay.NewIDs(time.Now, rand.Reader)
	scheduler, err := relay.NewScheduler(relay.SchedulerOptions{
		Hostname: "relay.test", Spool: s.spool, Transport: &relaytest.Transport{}, Policy: &relaytest.Policy{},
		Observer: &relaytest.Observer{}, IDs: ids, Now: time.Now, Chance: func() float64 { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	for range messages {
		s.ids = append(s.ids, s.add(t, ids.Next()))
	}
	operator, err := relay.NewOperator(t.Context(), relay.OperatorOptions{Scheduler: scheduler, Notes: new(relaytest.Notes)})
	if err != nil {
		t.Fatal(err)
	}
	s.events, s.metrics = admin.NewEvents(time.Now), admin.NewMetrics("v", time.Now)
	o := admin.Options{
		Socket: s.socket, HTTP: "127.0.0.1:0", Spool: s.spool, Scheduler: scheduler, Operator: operator, Now: time.Now, Events: s.events, Metrics: s.metrics,
	}
	set(&o)
	server, err := admin.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := server.Close(); err != nil {
			t.Errorf("Close after Run: %v", err)
		}
	})
	s.client = admin.NewClient(s.socket)
	s.addr = server.Addr().String()
	return s
}

// add queues a message to b at one.test and c at two.test, the latter deferred.
func (s *serving) add(t *testing.T, id relay.ID) relay.ID {
	t.Helper()
	ctx := t.Context()
	draft, err := s.spool.Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := draft.Write([]byte("x\r\n")); err != nil {
		t.Fatal(err)
	}
	m := &relay.Message{
		ID: id, Header: []byte("Subject: hello\r\nMessage-ID: <x@y>\r\n\r\n"), Size: 40, Received: time.Now(),
		Envelope: relay.Envelope{Sender: relay.Address{Local: "a", Domain: "example.com"}, Recipients: []relay.Recipient{
			{Address: relay.Address{Local: "b", Domain: "one.test"}}, {Address: relay.Address{Local: "c", Domain: "two.test"}},
		}},
	}
	ds := []relay.Delivery{
		{DeliveryID: relay.DeliveryID{Message: id}, To: relay.Destination{Route: "internet", Domain: "one.test"}, Flow: "f", Recipients: []int{0}, Due: time.Now()},
		{DeliveryID: relay.DeliveryID{Message: id, Part: 1}, To: relay.Destination{Route: "internet", Domain: "two.test"}, Flow: "f", Recipients: []int{1},
			Due: time.Now().Add(time.Hour), Attempts: 3, Last: relay.Reply{Code: 450, Text: "mailbox busy"}},
	}
	if err := draft.Commit(ctx, m, ds); err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *serving) list(t *testing.T, q admin.QueueQuery) []admin.Entry {
	t.Helper()
	var all []admin.Entry
	for e, err := range s.client.Queue(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func TestQueue(t *testing.T) {
	t.Parallel()
	s := serve(t, 50)
	all := s.list(t, admin.QueueQuery{})
	if len(all) != 100 {
		t.Fatalf("%d entries, want 100", len(all))
	}
	if all[0].ID != s.ids[0].String() || all[0].State != relay.StateDue.String() || all[0].Sender != "a@example.com" || all[0].Recipients[0] != "b@one.test" {
		t.Errorf("first %+v", all[0])
	}
	if all[1].State != relay.StateDeferred.String() || !strings.Contains(all[1].Reason, "mailbox busy") || all[1].Attempts != 3 {
		t.Errorf("second %+v", all[1])
	}
	if got := s.list(t, admin.QueueQuery{Limit: 7}); len(got) != 7 {
		t.Errorf("limit 7 gave %d", len(got))
	}
	if got := s.list(t, admin.QueueQuery{From: s.ids[49].String()}); len(got) != 2 {
		t.Errorf("from the last message gave %d", len(got))
	}
	got := s.list(t, admin.QueueQuery{Selection: admin.Selection{Destination: "internet/two.test"}, Limit: 20})
	if len(got) != 20 || got[19].Destination != "internet/two.test" {
		t.Errorf("destination gave %d", len(got))
	}
}

// Pages follow each other without a gap or a repeat, whatever their size.
func TestQueuePages(t *testing.T) {
	t.Parallel()
	s := serve(t, 20)
	for _, destination := range []string{"", "internet/two.test"} {
		want := s.list(t, admin.QueueQuery{Selection: admin.Selection{Destination: destination}})
		var got []admin.Entry
		for from, pages := "", 0; ; pages++ {
			entries, next := s.page(t, url.Values{"limit": {"3"}, "destination": {destination}, "from": {from}})
			got = append(got, entries...)
			if next == "" {
				break
			}
			if from = next; len(entries) != 3 || pages > 20 {
				t.Fatalf("page %d of %q has %d entries", pages, destination, len(entries))
			}
		}
		same := func(a, b admin.Entry) bool { return a.ID == b.ID && a.Part == b.Part }
		if !slices.EqualFunc(got, want, same) {
			t.Errorf("%q: %d entries in pages, %d in one list", destination, len(got), len(want))
		}
	}
}

// page asks for one page, and gives what the next begins with.
func (s *serving) page(t *testing.T, query url.Values) (entries []admin.Entry, next string) {
	t.Helper()
	resp := s.get(t, "/v1/queue?"+query.Encode(), nil)
	for lines := json.NewDecoder(resp.Body); ; {
		var line struct {
			admin.Entry
			Next string `json:"next"`
		}
		if err := lines.Decode(&line); err == io.EOF {
			return entries, ""
		} else if err != nil {
			t.Fatal(err)
		}
		if line.Next != "" {
			return entries, line.Next
		}
		entries = append(entries, line.Entry)
	}
}

func TestDestination(t *testing.T) {
	t.Parallel()
	s := serve(t, 30)
	d, err := s.client.Destination(t.Context(), "internet/two.test")
	if err != nil || d.Depth.Destination != "internet/two.test" || d.Depth.Deliveries != 30 || d.Depth.Due != 0 || d.Depth.Ages[0] != 30 {
		t.Errorf("got %+v, %v", d, err)
	}
	if _, err := s.client.Destination(t.Context(), "internet/three.test"); err == nil || !strings.Contains(err.Error(), "no mail waits") {
		t.Errorf("unknown: %v", err)
	}
	stats, err := s.client.Stats(t.Context(), 1)
	if err != nil || stats.Deliveries != 60 || stats.Destinations != 2 || len(stats.Rows) != 1 {
		t.Errorf("got %+v, %v", stats, err)
	}
	resp := s.get(t, "/metrics", nil)
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, string(text), `postrider_queue_deliveries 60`, `postrider_destination_queue_deliveries{destination="internet/two.test"} 30`, `postrider_destinations 0`)
}

func TestQueueRefuses(t *testing.T) {
	t.Parallel()
	s := serve(t, 1)
	for _, err := range s.client.Queue(t.Context(), admin.QueueQuery{From: "nonsense"}) {
		if err == nil || !strings.Contains(err.Error(), "not a queue id") {
			t.Errorf("from nonsense: %v", err)
		}
	}
	for _, err := range s.client.Queue(t.Context(), admin.QueueQuery{Limit: -1}) {
		if err == nil || !strings.Contains(err.Error(), "whole number") {
			t.Errorf("limit -1: %v", err)
		}
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	s := serve(t, 2)
	v, err := s.client.Message(t.Context(), s.ids[1].String())
	if err != nil || v.Subject != "hello" || v.MessageID != "<x@y>" || len(v.Recipients) != 2 || len(v.Deliveries) != 2 {
		t.Errorf("got %+v, %v", v, err)
	}
	for id, want := range map[string]string{
		"nonsense":                   "not a queue id",
		"01K9ZJ6V3S6C0X6M4E5T1B2N3P": "not in the queue",
	} {
		if _, err := s.client.Message(t.Context(), id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", id, err, want)
		}
	}
}

// Strangers are let in with tokens and TLS, or not at all.
func TestOpenAddress(t *testing.T) {
	t.Parallel()
	for _, tokens := range [][]admin.Token{nil, {{Name: "ops", Secret: "s"}}} {
		s, err := admin.New(admin.Options{HTTP: ":0", Tokens: tokens})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "needs tokens and TLS") {
			t.Errorf("tokens %v in clear: %v", tokens, err)
		}
	}
}

// Only its owner can open the socket; a socket left by a dead process is replaced, one
// that is in use is not.
func TestSocket(t *testing.T) {
	t.Parallel()
	s := serve(t, 0)
	info, err := os.Stat(s.socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if _, err := admin.New(admin.Options{Socket: s.socket}); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("a second server: %v", err)
	}
	file := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.New(admin.Options{Socket: file}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("in the place of a file: %v", err)
	}
	dead := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	server, err := admin.New(admin.Options{Socket: dead})
	if err != nil {
		t.Fatalf("a socket left behind: %v", err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if _, err := admin.NewClient(dead).Destinations(t.Context()); err == nil || !strings.Contains(err.Error(), "no daemon answers") {
		t.Errorf("nobody there: %v", err)
	}
}
