package outbound

import (
	"context"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Run renews the MTA-STS policies of domains, and sees whether hosts that failed are back, until ctx
// ends. A Transport delivers without it, too: then mail waits for both.
func (t *Transport) Run(ctx context.Context) error {
	var prober sync.WaitGroup
	defer prober.Wait()
	prober.Go(func() { t.probe(ctx) })
	if t.sts == nil {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(t.o.STSRefresh)
	defer ticker.Stop()
	for {
		// What cannot be read or removed now is met again.
		_ = t.sts.refresh(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// LookupTXT finds the TXT records of a name; none, without an error, where there are none.
func (t *Transport) LookupTXT(ctx context.Context, name string) ([]string, error) {
	a, err := t.resolver.lookup(ctx, question{name, dns.TypeTXT})
	return a.txts, err
}
