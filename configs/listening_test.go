package configs

import (
	"net/netip"
	"slices"
	"testing"
)

// What we listen at is how the way out knows ourselves in a list of mail exchanges.
func TestListening(t *testing.T) {
	t.Parallel()
	f := &file{Listen: []listen{{Address: ":25"}, {Address: "192.0.2.1:25"}, {Address: "unix:/run/p.sock"}, {Address: "[2001:db8::1]:587"}}}
	want := []netip.AddrPort{
		netip.MustParseAddrPort("[::]:25"), netip.MustParseAddrPort("192.0.2.1:25"), netip.MustParseAddrPort("[2001:db8::1]:587"),
	}
	if got := f.compose().Outbound.Listening; !slices.Equal(got, want) {
		t.Errorf("listening = %v, want %v", got, want)
	}
}
