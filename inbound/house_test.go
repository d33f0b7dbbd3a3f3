package inbound_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"postrider/inbound"
	"postrider/relay"
	"postrider/relay/relaytest"
)

// house is a server with fakes all around it.
type house struct {
	t        testing.TB
	options  inbound.Options
	policy   *relaytest.Policy
	observer *relaytest.Observer
	spool    *box
	server   *inbound.Server
	stop     context.CancelFunc
	ended    chan error
}

// newHouse prepares a server with one plain listener called "main" at a free port.
func newHouse(t testing.TB) *house {
	h := &house{t: t, policy: &relaytest.Policy{}, observer: &relaytest.Observer{}, spool: &box{}, ended: make(chan error, 1)}
	h.options = inbound.Options{
		Hostname:  "mx.example.com",
		Listeners: []inbound.Listener{{Name: "main", Address: "127.0.0.1:0"}},
		Limits:    inbound.Limits{ConnectionsPerClient: 500},
		Observer:  h.observer,
	}
	return h
}

func (h *house) receive() { h.receiveInto(h.spool, h.observer) }

func (h *house) receiveInto(spool relay.Spool, observer relay.Observer) {
	h.t.Helper()
	receiver, err := relay.NewReceiver(relay.ReceiverOptions{
		Hostname: "mx.example.com", Spool: spool, Policy: h.policy, Observer: observer,
		MessageSize: h.options.Limits.MessageSize, Recipients: h.options.Limits.Recipients,
		IDs: relay.NewIDs(time.Now, rand.Reader), Now: time.Now,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.options.Receiver = receiver
}

// open binds the server, without running it.
func (h *house) open() *house {
	h.t.Helper()
	if h.options.Receiver == nil {
		h.receive()
	}
	server, err := inbound.New(h.options)
	if err != nil {
		h.t.Fatal(err)
	}
	h.server = server
	h.t.Cleanup(func() { server.Close() })
	return h
}

// openAt is open with a given listener.
func (h *house) openAt(bound net.Listener) *house {
	h.t.Helper()
	h.receive()
	server, err := inbound.NewAt(bound, h.options)
	if err != nil {
		h.t.Fatal(err)
	}
	h.server = server
	return h
}

// run serves until the test ends.
func (h *house) run() *house {
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	go func() {
		h.ended <- h.server.Run(ctx)
		close(h.ended)
	}()
	h.t.Cleanup(func() {
		cancel()
		if err := <-h.ended; err != nil {
			h.t.Errorf("Run: %v", err)
		}
		h.noFaults()
	})
	return h
}

// noFaults fails the test if a fault was reported. Tests that expect some take them first.
func (h *house) noFaults() {
	for _, f := range h.observer.AllFaults()[h.spool.excused():] {
		h.t.Errorf("fault while trying to %s: %v", f.Doing, f.Err)
	}
}

func (h *house) addr() string { return h.server.Addrs()["main"].String() }

// box is a spool that keeps what is committed, and fails on demand.
type box struct {
	relay.Spool // what is not implemented here is not called by the way in

	mu       sync.Mutex
	messages []stored
	faults   int
	// onAdmit, onCreate and onCommit may fail the operation.
	onAdmit, onCreate, onCommit func() error
}

type stored struct {
	*relay.Message
	body string
}

func (b *box) Admit(int64) error { return call(b.onAdmit) }

func (b *box) Create(context.Context) (relay.Draft, error) {
	return &draft{box: b}, call(b.onCreate)
}

func (b *box) all() []stored {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.messages
}

// empty takes all messages out.
func (b *box) empty() []stored {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.messages
	b.messages = nil
	return all
}

// excuse says that a fault is expected.
func (b *box) excuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults++
}

func (b *box) excused() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults
}

func call(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

type draft struct {
	box *box
	bytes.Buffer
}

func (d *draft) Body() (io.ReadSeekCloser, error) {
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(d.Bytes()), io.NopCloser(nil)}, nil
}

func (d *draft) Commit(_ context.Context, m *relay.Message, _ []relay.Delivery, _ ...relay.Event) error {
	if err := call(d.box.onCommit); err != nil {
		return err
	}
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	d.box.messages = append(d.box.messages, stored{m, d.String()})
	return nil
}

func (d *draft) Discard() {}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(before)+text)
}

// usersFile writes a users file: ann may send as anybody, bob as himself and anyone at
// shop.example. The password of each is "secret".
func usersFile(t testing.TB) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "# test users\nann:"+string(hash)+"\nbob:"+string(hash)+":bob@example.com, @shop.example\n")
	return path
}
