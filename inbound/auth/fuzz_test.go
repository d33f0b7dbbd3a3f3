package auth_test

import (
	"context"
	"strings"
	"testing"

	"postrider/inbound/auth"
	"postrider/relay"
)

const (
	someBcrypt = "$2a$04$EsbIpwYpvXNxHWjQe.c3c.1b9BvNSB9vZtB6lDaRVtnN2sWq.hVuC"
	someArgon2 = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	someSCRAM  = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)

// What is read of a users file is what is written to it.
func FuzzUsersFile(f *testing.F) {
	f.Add("ann:" + someBcrypt + ":a@example.com,@shop.example,rate=10/1h\n#\nbob:" + someArgon2)
	f.Add("c d:" + someSCRAM + ":quota=5")
	f.Fuzz(func(t *testing.T, text string) {
		for line := range strings.Lines(text) {
			e, err := auth.ParseEntry(line)
			if err != nil {
				continue
			}
			if e.User == "" || e.Secret == nil {
				t.Fatalf("%q: %+v", line, e)
			}
			e.Senders.Allow(relay.Address{Local: "a", Domain: "b"})
			again, err := auth.ParseEntry(e.String())
			if err != nil || again.String() != e.String() {
				t.Fatalf("%q becomes %q, then %v, %v", line, e, again, err)
			}
		}
	})
}

func FuzzSecret(f *testing.F) {
	f.Add(someBcrypt + ":x")
	f.Add(someArgon2)
	f.Add(someSCRAM + ":a@b")
	f.Fuzz(func(t *testing.T, text string) {
		secret, rest, err := auth.ParseSecret(text)
		if err != nil {
			return
		}
		if got := secret.String(); got != text && got+":"+rest != text {
			t.Errorf("%q is read as %q and %q", text, got, rest)
		}
	})
}

// Nobody gets in who does not know the password.
func FuzzSCRAMMessages(f *testing.F) {
	f.Add("n,,n=ann,r=abc", "c=biws,r=abc,p=AAAA", "")
	f.Add("y,a=ann,n=ann,r=abc", "", "")
	r := newRoom(f, "ann:"+someSCRAM)
	r.options.Failures = auth.Rate{N: 1 << 30, Per: 1}
	r.open()
	f.Fuzz(func(t *testing.T, first, final, last string) {
		x, _ := r.Begin(auth.SCRAM, home, "main")
		for _, message := range []string{first, final, last} {
			_, id, reply := x.Next(context.Background(), []byte(message))
			if id != nil {
				t.Fatal("let in")
			}
			if reply != nil && reply.Code != 501 && reply.Code != 535 {
				t.Fatalf("got %v", reply)
			}
		}
	})
}
