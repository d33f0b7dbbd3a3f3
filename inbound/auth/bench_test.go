package auth_test

import (
	"testing"

	"postrider/inbound/auth"
)

// What a client costs that authenticates for every message: the first time, and from then on.
func BenchmarkPlain(b *testing.B) {
	for _, scheme := range []auth.Scheme{auth.SchemeBcrypt, auth.SchemeArgon2, auth.SchemeSCRAM} {
		line := "ann:" + made(b, scheme, "secret")
		for name, ttl := range map[string]int{"cached": 0, "checked": -1} {
			b.Run(string(scheme)+"/"+name, func(b *testing.B) {
				r := newRoom(b, line)
				if ttl < 0 {
					r.options.CacheTTL = -1
				}
				r.open()
				for b.Loop() {
					if got := r.login("ann", "secret"); got != "ann" {
						b.Fatal(got)
					}
				}
			})
		}
	}
}
