package main

import (
	"context"
	"sync/atomic"

	"postrider/outbound"
	"postrider/relay"
	"postrider/relay/admin"
)

// transports has the Transport of the moment.
type transports struct {
	current atomic.Pointer[outbound.Transport]
	changed chan struct{}
}

func newTransports() *transports { return &transports{changed: make(chan struct{}, 1)} }

// swap puts another one in place.
func (ts *transports) swap(t *outbound.Transport) {
	ts.current.Store(t)
	select {
	case ts.changed <- struct{}{}:
	default:
	}
}

// run runs the one of the moment until ctx ends.
func (ts *transports) run(ctx context.Context) error {
	for {
		of, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- ts.current.Load().Run(of) }()
		select {
		case err := <-ended:
			stop()
			return err
		case <-ts.changed:
			stop()
			<-ended
		}
	}
}

func (ts *transports) figures() []relay.Figure { return ts.current.Load().Figures() }

// tokens are those of the accounts that routes send as.
func (ts *transports) tokens() []admin.OAuthToken {
	var all []admin.OAuthToken
	for _, s := range ts.current.Load().Tokens() {
		all = append(all, admin.OAuthToken(s))
	}
	return all
}

func (ts *transports) lookupTXT(ctx context.Context, name string) ([]string, error) {
	return ts.current.Load().LookupTXT(ctx, name)
}
