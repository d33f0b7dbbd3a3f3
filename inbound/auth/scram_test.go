package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"postrider/inbound/auth"
)

// scramWith runs an exchange with a client that others have written.
func (r *room) scramWith(user, identity, password string) string {
	r.t.Helper()
	client, err := scram.SHA256.NewClient(user, password, identity)
	if err != nil {
		r.t.Fatal(err)
	}
	conversation := client.NewConversation()
	x, ok := r.Begin(auth.SCRAM, home, "main")
	if !ok {
		r.t.Fatal("SCRAM is not accepted")
	}
	var challenge []byte
	for {
		var response string
		if !conversation.Done() {
			if response, err = conversation.Step(string(challenge)); err != nil {
				r.t.Fatal(err)
			}
		}
		c, id, reply := x.Next(context.Background(), []byte(response))
		switch {
		case reply != nil:
			return reply.String()[:9]
		case id != nil && !conversation.Valid():
			return "the client does not trust us"
		case id != nil:
			return id.User
		}
		challenge = c
	}
}

func TestSCRAM(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "ann:"+made(t, auth.SchemeSCRAM, "sécret\u00a0x"), "a=b,c:"+made(t, auth.SchemeSCRAM, "x"), "bob:"+cheap(t, "secret")).open()
	for _, test := range []struct{ user, identity, password, want string }{
		{"ann", "", "sécret\u00a0x", "ann"},
		{"ann", "", "sécret x", "ann"}, // SASLprep: a space is a space
		{"ann", "ann", "sécret x", "ann"},
		{"ann", "bob", "sécret x", "535 5.7.8"},
		{"a=b,c", "", "x", "a=b,c"},
		{"ann", "", "wrong", "535 5.7.8"},
		{"bob", "", "secret", "535 5.7.8"}, // has no SCRAM secret
		{"eve", "", "secret", "535 5.7.8"},
	} {
		if got := r.scramWith(test.user, test.identity, test.password); got != test.want {
			t.Errorf("%+v: got %s", test, got)
		}
	}
}

// The messages to a name that does not exist look like those to one that does, each time.
func TestSCRAMDecoy(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "ann:"+made(t, auth.SchemeSCRAM, "secret"), "bob:"+cheap(t, "secret")).open()
	first := func(user string) (salt []byte, rest string) {
		x, _ := r.Begin(auth.SCRAM, home, "main")
		challenge, _, reply := x.Next(context.Background(), []byte("n,,n="+user+",r=abcdefghij"))
		if reply != nil {
			t.Fatal(reply)
		}
		parts := strings.Split(string(challenge), ",")
		salt, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(parts[1], "s="))
		if err != nil || !strings.HasPrefix(parts[0], "r=abcdefghij") {
			t.Fatalf("%q: %v", challenge, err)
		}
		return salt, parts[2]
	}
	ann, annRest := first("ann")
	for _, user := range []string{"eve", "bob"} {
		salt, rest := first(user)
		again, _ := first(user)
		if !bytes.Equal(salt, again) || len(salt) != len(ann) || rest != annRest || bytes.Equal(salt, ann) {
			t.Errorf("%s is told from ann: salt %x then %x, %s; ann has %x, %s", user, salt, again, rest, ann, annRest)
		}
	}
}

// What is no SCRAM is 501, and nothing that a client says after a refusal lets it in.
func TestSCRAMMalformed(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "ann:"+made(t, auth.SchemeSCRAM, "secret")).open()
	for _, responses := range [][]string{
		{""}, {"x"}, {"n,,n=ann"}, {"p=tls-unique,,n=ann,r=abc"}, {"n,,m=x,n=ann,r=abc"}, {"n,,n=a=ZZ,r=abc"}, {"n,,n=a\nb,r=abc"}, {"n,,n=a\xff,r=abc"},
		{"n,,n=ann,r=abc", ""}, {"n,,n=ann,r=abc", "c=biws,r=abc,p=AAAA"}, {"n,,n=ann,r=abc", "c=eSws,r=abc,p=AAAA"},
		{"n,,n=ann,r=" + strings.Repeat("a", 5000)},
	} {
		x, _ := r.Begin(auth.SCRAM, home, "main")
		for i, response := range append(responses, "", "") {
			_, id, reply := x.Next(context.Background(), []byte(response))
			if id != nil {
				t.Fatalf("%q let somebody in", responses)
			}
			if want := i >= len(responses)-1; (code(reply) == 501) != want {
				t.Errorf("%q: response %d: got %v", responses, i, reply)
			}
		}
	}
}
