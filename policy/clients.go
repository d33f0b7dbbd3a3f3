package policy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// The bounds of looking for the names of clients.
const (
	nameTimeout  = 3 * time.Second
	nameKept     = 10 * time.Minute
	noNameKept   = time.Minute
	failureKept  = 10 * time.Second
	maxNames     = 10_000
	maxNamesEach = 5
)

// clients are the names of clients, as DNS has them.
type clients struct {
	resolver Resolver
	now      func() time.Time

	mu    sync.Mutex
	known map[netip.Addr]clientName
}

type clientName struct {
	name string
	// err is why nothing is known. It is kept for a while too, so that not each command of a
	// session waits for a DNS that is silent.
	err   error
	until time.Time
}

// name is the first name of the address that leads back to it, in lower case and without a dot
// at its end; "" where there is none. That DNS does not answer is an error.
func (c *clients) name(ctx context.Context, addr netip.Addr) (string, error) {
	now := c.now()
	c.mu.Lock()
	known, ok := c.known[addr]
	c.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.name, known.err
	}
	found := c.ask(ctx, addr)
	if ctx.Err() != nil {
		return found.name, found.err // the session's end says nothing about DNS
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for other := range c.known {
		if len(c.known) < maxNames {
			break
		}
		delete(c.known, other)
	}
	c.known[addr] = found
	return found.name, found.err
}

// ask asks DNS, and says how long the answer is good for.
func (c *clients) ask(ctx context.Context, addr netip.Addr) clientName {
	ctx, cancel := context.WithTimeout(ctx, nameTimeout)
	defer cancel()
	name, err := c.lookUp(ctx, addr)
	kept := nameKept
	switch {
	case err != nil:
		kept, err = failureKept, fmt.Errorf("look up the name of %s: %w", addr, err)
	case name == "":
		kept = noNameKept
	}
	return clientName{name: name, err: err, until: c.now().Add(kept)}
}

func (c *clients) lookUp(ctx context.Context, addr netip.Addr) (string, error) {
	names, err := c.resolver.LookupAddr(ctx, addr.String())
	if err = unlessMissing(err); err != nil {
		return "", err
	}
	var last error
	for _, name := range names[:min(len(names), maxNamesEach)] {
		addrs, err := c.resolver.LookupHost(ctx, name)
		if err = unlessMissing(err); err != nil {
			last = err
			continue
		}
		if slices.ContainsFunc(addrs, func(text string) bool {
			a, err := netip.ParseAddr(text)
			return err == nil && a.Unmap().WithZone("") == addr
		}) {
			return folded(strings.ToLower(strings.TrimSuffix(name, "."))), nil
		}
	}
	return "", last
}

// unlessMissing drops the error that says that there is no such name.
func unlessMissing(err error) error {
	if fault, ok := errors.AsType[*net.DNSError](err); ok && fault.IsNotFound {
		return nil
	}
	return err
}
