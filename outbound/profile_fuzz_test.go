package outbound

import (
	"testing"

	"postrider/relay"
)

// Whatever the header section, what a signature does not allow to go stays, and nothing else changes.
func FuzzHeaderProfile(f *testing.F) {
	f.Add("Subject: a\r\nX-Set: 1\r\n\tmore\r\n", "X-Set", "X-New: 1")
	f.Add("DKIM-Signature: h=X-Set:From;\r\n b=\r\nX-Set: 1\r\n", "X-*", "X-New: 1")
	f.Add(":\r\n \n\r", "X-*", "X-New: 1")
	f.Fuzz(func(t *testing.T, section, remove, add string) {
		p := HeaderProfile{Add: []string{add}, Remove: []string{remove}}
		if p.Validate() != nil {
			return
		}
		m := &relay.Message{Header: []byte(section + "\r\n"), Size: int64(len(section) + 2)}
		sent := p.apply(m)
		if int64(len(sent.Header)) != sent.Size {
			t.Errorf("size %d of %d bytes", sent.Size, len(sent.Header))
		}
		again := p.apply(sent)
		if string(again.Header) != string(sent.Header) {
			t.Errorf("a second time: %q became %q", sent.Header, again.Header)
		}
	})
}
