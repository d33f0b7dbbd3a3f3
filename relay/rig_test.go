package relay_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// rig is a receiver and a scheduler with fakes around them, in fake time.
type rig struct {
	spool     relay.Spool
	transport *relaytest.Transport
	policy    *relaytest.Policy
	observer  *relaytest.Observer
	history   relay.History
	options   relay.SchedulerOptions
	// signers are the receiver's.
	signers []relay.Signer

	receiver  *relay.Receiver
	scheduler *relay.Scheduler
	ids       *relay.IDs
	stop      func()

	gauging sync.Mutex
}

// gauge counts something for the test, one at a time.
func (r *rig) gauge(count func()) {
	r.gauging.Lock()
	defer r.gauging.Unlock()
	count()
}

// inTime runs a test on a rig in a bubble of fake time. The scheduler is not running yet.
func inTime(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		r := &rig{
			spool: relaytest.NewSpool(), transport: &relaytest.Transport{},
			policy: &relaytest.Policy{}, observer: &relaytest.Observer{},
			ids:  relay.NewIDs(time.Now, rand.Reader),
			stop: func() {},
		}
		r.options = relay.SchedulerOptions{
			Retry: relay.Retry{First: time.Minute, Factor: 2, Max: time.Hour, MaxAge: 24 * time.Hour},
		}
		f(t, r)
		r.stop()
	})
}

// start makes a scheduler and a receiver on the rig's spool and runs them.
func (r *rig) start(t *testing.T) {
	t.Helper()
	r.build(t)
	r.run()
}

// fill makes a receiver alone: what it accepts waits in the spool.
func (r *rig) fill(t *testing.T) {
	t.Helper()
	r.scheduler = nil
	r.receive(t)
}

func (r *rig) build(t *testing.T) {
	t.Helper()
	o := r.options
	o.Hostname, o.Spool, o.Transport, o.Policy, o.Observer = "relay.test", r.spool, r.transport, r.policy, r.observer
	o.IDs, o.Now, o.Chance = r.ids, r.now(), func() float64 { return 0.999 }
	var err error
	if r.scheduler, err = relay.NewScheduler(o); err != nil {
		t.Fatal(err)
	}
	r.receive(t)
}

func (r *rig) receive(t *testing.T) {
	t.Helper()
	var err error
	r.receiver, err = relay.NewReceiver(relay.ReceiverOptions{
		Hostname: "relay.test", Spool: r.spool, Policy: r.policy, Observer: r.observer,
		History: r.history, Scheduler: r.scheduler, IDs: r.ids, Now: r.now(), Signers: r.signers,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// audit has the scheduler's books checked all the time.
func (r *rig) audit(ctx context.Context) (done chan struct{}) {
	done = make(chan struct{})
	s := r.scheduler
	go func() {
		defer close(done)
		for pause := time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 10*time.Minute) {
			if err := s.Audit(); err != nil {
				r.observer.Faulted(relay.Fault{Doing: "keep count of deliveries", Err: err})
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
		if err := s.Audit(); err != nil {
			r.observer.Faulted(relay.Fault{Doing: "keep count of deliveries", Err: err})
		}
	}()
	return done
}

// now is the clock of the options, else the time of the bubble.
func (r *rig) now() func() time.Time {
	if r.options.Now != nil {
		return r.options.Now
	}
	return time.Now
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.scheduler.Run(ctx) }()
	audited := r.audit(ctx)
	r.stop = func() {
		cancel()
		<-done
		<-audited
		r.stop = func() {}
	}
}

var origin = relay.Origin{Listener: "test", Client: netip.MustParseAddr("192.0.2.7"), Greeting: "client.test", Protocol: "ESMTP"}

const content = "From: a@example.com\r\nSubject: hello\r\n\r\nbody\r\n"

// send accepts a message and returns its ID.
func (r *rig) send(t *testing.T, from string, to ...string) relay.ID {
	t.Helper()
	id, reply := r.try(from, strings.NewReader(content), to...)
	if reply != nil {
		t.Fatalf("message refused: %v", reply)
	}
	return id
}

// try offers a message.
func (r *rig) try(from string, content io.Reader, to ...string) (relay.ID, *relay.Reply) {
	o := origin
	tx := r.receiver.Begin(&o)
	if reply := tx.Mail(context.Background(), relay.Envelope{Sender: address(from)}, 0); reply != nil {
		return relay.ID{}, reply
	}
	for _, rcpt := range to {
		if reply := tx.Rcpt(context.Background(), relay.Recipient{Address: address(rcpt)}); reply != nil {
			return relay.ID{}, reply
		}
	}
	return tx.Data(context.Background(), content)
}

func address(text string) relay.Address {
	a, err := relay.ParseAddress(text)
	if err != nil {
		panic(err)
	}
	return a
}

// delivered lists the recipients that were delivered, in order.
func (r *rig) delivered() []string {
	var all []string
	for _, d := range r.transport.AllDelivered() {
		all = append(all, d.Recipient.String())
	}
	return all
}

// queued lists what the spool holds.
func (r *rig) queued(t *testing.T) []relay.Delivery {
	t.Helper()
	var all []relay.Delivery
	for d, err := range r.spool.List(context.Background(), relay.ID{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// wantEmpty checks that nothing is left in the spool and that nothing went wrong.
func (r *rig) wantEmpty(t *testing.T) {
	t.Helper()
	if left := r.queued(t); len(left) > 0 {
		t.Errorf("%d deliveries left, such as %+v", len(left), left[0])
	}
	for id, err := range r.spool.Arrived(context.Background(), relay.ID{}) {
		t.Fatalf("message %s left (%v)", id, err)
	}
	for _, f := range r.observer.AllFaults() {
		t.Errorf("fault: %s: %v", f.Doing, f.Err)
	}
}

// after lets time pass until everything that can happen has happened.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func reply(code int, text string) relay.Reply {
	return relay.Reply{Code: code, Text: text}
}

func numbered(format string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return all
}
