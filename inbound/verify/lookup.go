package verify

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
)

// lookups is what DNS may be asked about one message. Names are absolute, whatever the
// system's search list.
type lookups struct {
	resolver Resolver
	left     atomic.Int32
}

func newLookups(r Resolver, n int) *lookups {
	l := &lookups{resolver: r}
	l.left.Store(int32(n))
	return l
}

// take says whether one more question is allowed.
func (l *lookups) take(name string) error {
	if l.left.Add(-1) < 0 {
		return &net.DNSError{Err: "too many look-ups for one message", Name: name, IsTemporary: true}
	}
	return nil
}

func absolute(name string) string { return strings.TrimSuffix(name, ".") + "." }

// LookupTXT is net.Resolver's within the bound, as are the others.
func (l *lookups) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if err := l.take(name); err != nil {
		return nil, err
	}
	return l.resolver.LookupTXT(ctx, absolute(name))
}

func (l *lookups) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	if err := l.take(name); err != nil {
		return nil, err
	}
	return l.resolver.LookupMX(ctx, absolute(name))
}

func (l *lookups) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	if err := l.take(host); err != nil {
		return nil, err
	}
	return l.resolver.LookupIPAddr(ctx, absolute(host))
}

func (l *lookups) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	if err := l.take(addr); err != nil {
		return nil, err
	}
	return l.resolver.LookupAddr(ctx, addr)
}
