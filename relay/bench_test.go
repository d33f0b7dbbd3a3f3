package relay_test

import (
	"context"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
)

// What the way from a client's DATA to a settled delivery costs without disk and network:
// with one destination and sender, and with many of both.
func BenchmarkRelay(b *testing.B) {
	for _, spread := range []int{1, 1000} {
		b.Run(fmt.Sprintf("destinations=%d", spread), func(b *testing.B) { benchmarkRelay(b, spread) })
	}
}

func benchmarkRelay(b *testing.B, spread int) {
	var left sync.WaitGroup
	transport := &relaytest.Transport{Forget: true}
	transport.OnDeliver = func(_ context.Context, _ *relay.Site, t relay.Transfer, _ []byte) relay.Attempt {
		left.Done()
		return relaytest.OK(t)
	}
	spool, policy, observer := relaytest.NewSpool(), &relaytest.Policy{}, silent{}
	ids := relay.NewIDs(time.Now, rand.Reader)
	scheduler, err := relay.NewScheduler(relay.SchedulerOptions{
		Hostname: "relay.test", Spool: spool, Transport: transport, Policy: policy, Observer: observer,
		IDs: ids, Now: time.Now, Chance: mrand.Float64,
	})
	if err != nil {
		b.Fatal(err)
	}
	receiver, err := relay.NewReceiver(relay.ReceiverOptions{
		Hostname: "relay.test", Spool: spool, Policy: policy, Observer: observer, Scheduler: scheduler, IDs: ids, Now: time.Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = scheduler.Run(ctx) })
	o := origin
	tx := receiver.Begin(&o)
	body := content + strings.Repeat("x", 4000)
	for n := 0; b.Loop(); n++ {
		left.Add(1)
		tx.Mail(ctx, relay.Envelope{Sender: address(fmt.Sprintf("a@sender%d.test", n%spread))}, 0)
		tx.Rcpt(ctx, relay.Recipient{Address: address(fmt.Sprintf("b@site%d.test", n%spread))})
		if _, reply := tx.Data(ctx, strings.NewReader(body)); reply != nil {
			b.Fatal(reply)
		}
	}
	left.Wait()
	cancel()
	running.Wait()
}

// silent is an observer that looks away.
type silent struct{}

func (silent) Accepted(relay.Accepted)   {}
func (silent) Refused(relay.Refused)     {}
func (silent) Attempted(relay.Attempted) {}
func (silent) Notified(relay.Notified)   {}
func (silent) Held(relay.Held)           {}
func (silent) Gated(relay.Gated)         {}
func (silent) Faulted(relay.Fault)       {}
