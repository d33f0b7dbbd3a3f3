package verify

import (
	"context"
	"io"
	"slices"

	"postrider/relay"
)

// Verifier verifies messages. It never changes and is safe for use by several goroutines.
type Verifier struct{ o Options }

var _ relay.Verifier = (*Verifier)(nil)

// New fills in the defaults and checks the rest.
func New(o Options) (*Verifier, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Verifier{o}, nil
}

func (v *Verifier) wants(method string) bool {
	return slices.Contains(v.o.Methods, method) || slices.Contains(v.o.Methods, DMARC)
}

// Verify looks at the message. What DNS does not tell in time is temperror.
func (v *Verifier) Verify(ctx context.Context, m *relay.Message, body io.Reader) (relay.Verified, []byte) {
	ctx, cancel := context.WithTimeout(ctx, v.o.Timeout)
	defer cancel()
	dns := newLookups(v.o.Resolver, v.o.Lookups)
	var found results
	if v.wants(SPF) {
		found.spf = checkSPF(ctx, dns, m)
	}
	if v.wants(DKIM) {
		found.signatures = v.checkDKIM(ctx, dns, m, body)
	}
	if slices.Contains(v.o.Methods, DMARC) {
		found.dmarc = checkDMARC(ctx, dns, m, &found)
	}
	header := append([]byte(found.stamp(v.o.Hostname, v.wants(DKIM))), withoutOurs(m.Header, v.o.Hostname)...)
	return found.verified(v.wants(DKIM)), header
}
