package main

import (
	"context"
	"io"

	"postrider/dkim"
	"postrider/relay"
)

// dkimSigner is a relay.Signer: dkim knows no relay.Message.
type dkimSigner struct{ *dkim.Signer }

// Sign gives the signer what it chooses a key by.
func (s dkimSigner) Sign(ctx context.Context, m *relay.Message, body io.Reader) ([]byte, error) {
	return s.Signer.Sign(ctx, dkim.Message{
		Header: m.Header, Body: body,
		Sender: m.Envelope.Sender.Domain, User: m.Origin.User, With: m.SignWith,
	})
}

// signers is empty where no key is configured, so that no message is looked at for nothing.
func signers(o dkim.Options, observer relay.Observer) ([]relay.Signer, error) {
	if len(o.Keys) == 0 {
		return nil, nil
	}
	o.Fault = func(err error) {
		observer.Faulted(relay.Fault{Doing: "read the DKIM keys again", Err: err})
	}
	s, err := dkim.New(o)
	if err != nil {
		return nil, err
	}
	return []relay.Signer{dkimSigner{s}}, nil
}
