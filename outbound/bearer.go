package outbound

import (
	"fmt"
	"strings"
)

// bearer is the client of XOAUTH2 and OAUTHBEARER (RFC 7628), which differ in the framing only.
type bearer struct {
	name, user, token string
	host              remote
}

// Start implements sasl.Client.
func (b *bearer) Start() (mechanism string, initial []byte, err error) {
	if b.name == mechanismXOAuth2 {
		return b.name, fmt.Appendf(nil, "user=%s\x01auth=Bearer %s\x01\x01", b.user, b.token), nil
	}
	// The user stands in a GS2 header, where these two have to be escaped (RFC 5801 section 4).
	user := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(b.user)
	return b.name, fmt.Appendf(nil, "n,a=%s,\x01host=%s\x01port=%d\x01auth=Bearer %s\x01\x01",
		user, b.host.name, b.host.addr.Port(), b.token), nil
}

// Next implements sasl.Client. The only challenge is a description of the failure; the answer
// lets the server go on to say so in its reply (RFC 7628 section 3.2.3).
func (b *bearer) Next([]byte) ([]byte, error) {
	if b.name == mechanismXOAuth2 {
		return []byte{}, nil
	}
	return []byte{1}, nil
}
