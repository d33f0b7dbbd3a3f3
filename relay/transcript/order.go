package transcript

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"postrider/relay"
)

// Order says which sessions to take down, and for how long.
type Order struct {
	// Destination and Host mean sessions with next hops: those opened for destinations like the
	// pattern, and those with hosts or addresses like the pattern. With both, both must hold.
	Destination string `json:"destination,omitempty"`
	Host        string `json:"host,omitempty"`
	// Listener and Client mean sessions with clients: those at listeners like the pattern, and those
	// of an address or network. With both, both must hold.
	Listener string `json:"listener,omitempty"`
	Client   string `json:"client,omitempty"`
	// For is how long; 0 for DefaultTime, at most MostTime.
	For time.Duration `json:"for"`
	// Size bounds the file, in bytes; 0 for DefaultSize, at most MostSize.
	Size int64 `json:"size"`
	// Author and Reason say who wants it and why. Both are needed.
	Author string `json:"author"`
	Reason string `json:"reason"`
}

// The bounds of an order.
const (
	DefaultTime = 10 * time.Minute
	MostTime    = 24 * time.Hour
	DefaultSize = 10 << 20
	MostSize    = 100 << 20
)

// ErrOrder says that an order makes no sense.
var ErrOrder = errors.New("not a transcript that can be made")

// complete fills in what is left out, and refuses what makes no sense.
func (o *Order) complete() (client netip.Prefix, err error) {
	fault := func(format string, values ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrOrder}, values...)...)
	}
	if o.For == 0 {
		o.For = DefaultTime
	}
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	if o.Client != "" {
		if client, err = network(o.Client); err != nil {
			return client, fault("client %q is neither an address nor a network such as 192.0.2.0/24", o.Client)
		}
	}
	switch {
	case o.Destination == "" && o.Host == "" && o.Listener == "" && o.Client == "":
		return client, fault("name a destination, a host, a listener or a client")
	case o.Author == "" || o.Reason == "":
		return client, fault("an author and a reason are needed")
	case o.For < 0 || o.For > MostTime:
		return client, fault("%v is not in 0 to %v", o.For, MostTime)
	case o.Size < 0 || o.Size > MostSize:
		return client, fault("%d bytes are not in 0 to %d", o.Size, MostSize)
	}
	return client, nil
}

// network reads an address or a network.
func network(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// means says whether a session is one of those.
func (o *Order) means(t *relay.Talk, client netip.Prefix) bool {
	if t.Inbound() {
		return (o.Listener != "" || o.Client != "") && relay.Like(o.Listener, t.Listener) &&
			(o.Client == "" || client.Contains(t.Client))
	}
	return (o.Destination != "" || o.Host != "") && relay.Like(o.Destination, t.To.String()) &&
		(relay.Like(o.Host, t.Host) || relay.Like(o.Host, t.Addr))
}
