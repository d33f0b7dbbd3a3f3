package outbound

import (
	"strings"
	"testing"
)

// The exchange of RFC 7677 section 3.
func TestSCRAMExample(t *testing.T) {
	t.Parallel()
	s := &scram{user: "user", password: "pencil", nonce: "rOprNGfwEbeRWgbNEkqO"}
	_, initial, err := s.Start()
	if err != nil || string(initial) != "n,,n=user,r=rOprNGfwEbeRWgbNEkqO" {
		t.Fatalf("first: %q, %v", initial, err)
	}
	final, err := s.Next([]byte("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))
	want := "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	if err != nil || string(final) != want {
		t.Fatalf("final: %q, %v", final, err)
	}
	if _, err := s.Next([]byte("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")); err != nil || !s.verified {
		t.Errorf("the server's signature: %v", err)
	}
}

// Names and passwords are compared in the form of RFC 4013, whose examples these are, and used as they
// are where it forbids them.
func TestSCRAMPrepares(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"I\u00adX": "IX", "user": "user", "USER": "USER", "\u00aa": "a", "\u2168": "IX", "e\u0301": "\u00e9", "\u0007": "\u0007", "\u06271": "\u06271",
	} {
		if s := newSCRAM(given, given); s.user != want || s.password != want {
			t.Errorf("%q: user %q, password %q, want %q", given, s.user, s.password, want)
		}
	}
}

func TestSCRAMRefuses(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{
		"another nonce":   "r=other-server,s=c2FsdA==,i=4096",
		"our nonce alone": "r=nonce,s=c2FsdA==,i=4096",
		"cheap":           "r=nonce-server,s=c2FsdA==,i=1",
		"an attack":       "r=nonce-server,s=c2FsdA==,i=1000000000",
		"no salt":         "r=nonce-server,i=4096",
		"bad salt":        "r=nonce-server,s=*,i=4096",
		"an extension":    "m=x,r=nonce-server,s=c2FsdA==,i=4096",
	} {
		s := &scram{user: "u", password: "p", nonce: "nonce"}
		if answer, err := s.Next([]byte(first)); err == nil {
			t.Errorf("%s: answered %q", name, answer)
		}
	}
}

func FuzzSCRAM(f *testing.F) {
	f.Add("r=nonce-server,s=c2FsdA==,i=4096", "v=AAAA")
	f.Fuzz(func(t *testing.T, first, second string) {
		s := &scram{user: "u", password: "p", nonce: "nonce"}
		if _, _, iterations, err := s.parse(first); err == nil && (iterations < scramLeast || iterations > scramMost || !strings.Contains(first, "r=nonce")) {
			t.Errorf("%q was taken", first)
		}
		s.signature = []byte("signature")
		if _, err := s.Next([]byte(second)); err == nil && !s.verified {
			t.Errorf("%q was taken", second)
		}
	})
}

func FuzzParseSTSRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;")
	f.Fuzz(func(t *testing.T, text string) {
		if id, ok := parseSTSRecord([]string{text}); ok && (id == "" || len(id) > 32) {
			t.Errorf("%q: id %q", text, id)
		}
	})
}
