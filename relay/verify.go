package relay

import (
	"context"
	"io"
)

// Verifier finds out whether a message comes from where it says. A listener has one where
// its configuration wants that.
type Verifier interface {
	// Verify gives the results and the message's header section as it is to be kept:
	// stamped with them, and without such stamps of others in our name. It takes bounded
	// time, and what it cannot find out is a result too. The body is opened by the first
	// read. m is not changed.
	Verify(ctx context.Context, m *Message, body io.Reader) (v Verified, header []byte)
}

// Verified is what was found, in the words of RFC 8601 section 2.7: none, pass, fail,
// softfail, neutral, policy, temperror, permerror. "" says that nobody looked.
type Verified struct {
	// SPF is about the reverse-path, or the EHLO name where that is null (RFC 7208).
	SPF string
	// DKIM is pass where at least one signature verifies (RFC 6376).
	DKIM string
	// DMARC is about the domain of the From field (RFC 7489), and DMARCPolicy what its owner
	// asks for where that fails: none, quarantine or reject.
	DMARC, DMARCPolicy string
}

// verify has the handling's verifier look at the message. Nothing that it finds, or fails to
// find, stops the mail: rules may.
func (t *Transaction) verify(ctx context.Context, m *Message, draft Draft) {
	if t.handling.Verifier == nil {
		return
	}
	body := &lazyBody{open: draft.Body}
	defer body.close()
	verified, header := t.handling.Verifier.Verify(ctx, m, body)
	m.Size += int64(len(header) - len(m.Header))
	m.Verified, m.Header = verified, header
}
