package relaytest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"postrider/relay"
)

// testChurn lets committers and workers loose on a few bins. Workers deliver, defer, move
// and release at random; in the end each delivery has been delivered once.
func testChurn(t *spoolTest) {
	const messages, workers = 300, 6
	tos := []relay.Destination{alpha, beta, smart}
	c := &churn{spoolTest: t, tos: tos, done: make(map[relay.Address]int), left: messages * 2}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { c.work(rand.New(rand.NewPCG(1, uint64(w)))) })
	}
	for i := range messages {
		m := t.message([]byte("churn"), 2)
		for k := range m.Envelope.Recipients {
			m.Envelope.Recipients[k].Address.Local = fmt.Sprintf("m%d.r%d", i, k)
		}
		a, b := t.delivery(m, 0, tos[i%3], t.t0), t.delivery(m, 1, tos[(i+1)%3], t.t0)
		if i%3 == 0 { // the two share a delivery, and part ways if they are moved
			a.Recipients, a.Sole = []int{0, 1}, true
			t.store(m, []byte("churn"), a)
		} else {
			t.store(m, []byte("churn"), a, b)
		}
	}
	wg.Wait()
	for r, n := range c.done {
		if n != 1 {
			t.Errorf("%s was delivered %d times", r, n)
		}
	}
	if len(c.done) != messages*2 {
		t.Errorf("got %d recipients delivered, want %d", len(c.done), messages*2)
	}
	t.wantEmpty()
}

type churn struct {
	*spoolTest
	tos []relay.Destination

	mu   sync.Mutex
	done map[relay.Address]int
	left int
}

func (c *churn) work(chance *rand.Rand) {
	for !c.over() {
		ds, _, err := c.Claim(c.ctx, c.tos[chance.IntN(len(c.tos))], bulk, c.t0.Add(time.Hour), 1+chance.IntN(4))
		if err != nil {
			c.Errorf("claim: %v", err)
			return
		}
		for _, d := range ds {
			if err := c.treat(d, chance); err != nil {
				c.Errorf("settle: %v", err)
				return
			}
		}
	}
}

func (c *churn) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left == 0 || c.Failed()
}

// treat does to a delivery what chance wants.
func (c *churn) treat(d relay.Delivery, chance *rand.Rand) error {
	then := d
	switch chance.IntN(6) {
	case 0:
		c.Release(d)
		return nil
	case 1:
		then.Due = d.Due.Add(time.Duration(chance.IntN(3)) * time.Second)
	case 2:
		then.To = c.tos[chance.IntN(len(c.tos))]
	default:
		return c.deliver(d)
	}
	st := relay.Settlement{Delivery: d, Then: []relay.Delivery{then}}
	if len(d.Recipients) > 1 {
		other := then
		st.Then[0].Recipients, other.Recipients = d.Recipients[:1], d.Recipients[1:]
		st.Then = append(st.Then, other)
	}
	return c.Settle(c.ctx, st)
}

func (c *churn) deliver(d relay.Delivery) error {
	m, err := c.Message(c.ctx, d.Message)
	if err != nil {
		return err
	}
	if err := c.Settle(c.ctx, relay.Settlement{Delivery: d}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range d.Recipients {
		c.done[m.Envelope.Recipients[i].Address]++
		c.left--
	}
	return nil
}
