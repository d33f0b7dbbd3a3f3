package inbound

import (
	"testing"

	"postrider/relay"
)

// FuzzXClient: whatever an attribute says, what it leaves in the origin can stand in a trace
// field.
func FuzzXClient(f *testing.F) {
	for _, seed := range [][2]string{{"ADDR", "IPV6:2001:db8::9"}, {"ADDR", "192.0.2.9"}, {"ADDR", "[UNAVAILABLE]"}, {"HELO", "spike"}, {"LOGIN", "a b"}, {"PORT", "x"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		value, ok := decodeXtext(text)
		var o relay.Origin
		if !ok || !tell(&o, name, value) {
			return
		}
		if o.Greeting != "" && !isName(o.Greeting) || o.Client.Is4In6() || !isText(o.User) {
			t.Errorf("%s=%s gives %+v", name, text, o)
		}
	})
}
