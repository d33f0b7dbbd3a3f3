package dkim_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postrider/dkim"
)

// choosy is a signer whose keys are chosen in every way there is, and their records.
func choosy(t *testing.T) (*dkim.Signer, dns) {
	t.Helper()
	private := newEd25519(t)
	path := pkcs8(t, private)
	keys := []dkim.Key{
		{Domain: "from.example", Selector: "f", Path: path},
		{Domain: "exact.example", Selector: "x", Path: path, Exact: true},
		{Domain: "any.example", Selector: "a", Path: path, Match: []string{"envelope", "sender", "from"}},
		{Domain: "bounce.example", Selector: "b", Path: path, Match: []string{"envelope"}},
		{Domain: "list.example", Selector: "l", Path: path, Match: []string{"sender"}},
		{Domain: "tenant.example", Selector: "t1", Path: path, Users: []string{"shop", "app"}},
		{Domain: "tenant.example", Selector: "t2", Path: path, Users: []string{"shop"}},
	}
	records := make(dns)
	for _, k := range keys {
		records.publish(k, private.Public())
	}
	s, err := dkim.New(dkim.Options{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return s, records
}

func TestChoice(t *testing.T) {
	t.Parallel()
	s, records := choosy(t)
	for _, test := range []struct {
		what, from, sender, envelope, user string
		with                               []string
		want                               string
	}{
		{"its author", "a@from.example", "", "", "", nil, "from.example"},
		{"below its author's", "a@deep.from.example", "", "", "", nil, "from.example"},
		{"exact", "a@exact.example", "", "", "", nil, "exact.example"},
		{"below exact", "a@deep.exact.example", "", "", "", nil, ""},
		{"author before all", "a@from.example", "l@list.example", "bounce.example", "", nil, "from.example"},
		{"sender before envelope", "a@else.example", "l@list.example", "bounce.example", "", nil, "list.example"},
		{"envelope", "a@else.example", "", "Mail.Bounce.example", "", nil, "bounce.example"},
		{"any by sender", "a@else.example", "l@any.example", "", "", nil, "any.example"},
		{"not by envelope", "a@else.example", "", "from.example", "", nil, ""},
		{"not by author", "a@bounce.example", "", "", "", nil, ""},
		{"several authors and a sender", "a@from.example, b@else.example", "l@list.example", "", "", nil, "list.example"},
		{"a broken sender", "a@else.example", "((", "bounce.example", "", nil, "bounce.example"},
		{"user", "a@from.example", "", "", "shop", nil, "tenant.example tenant.example"},
		{"another user", "a@else.example", "", "", "app", nil, "tenant.example"},
		{"no such user", "a@from.example", "", "", "other", nil, "from.example"},
		{"the user's domain by another", "a@tenant.example", "", "", "", nil, ""},
		{"rule before user", "a@else.example", "", "", "shop", []string{"From.Example"}, "from.example"},
		{"one key", "a@else.example", "", "", "", []string{"t2._domainkey.tenant.example"}, "tenant.example"},
		{"several", "a@else.example", "", "", "", []string{"from.example", "tenant.example", "f._domainkey.from.example"}, "from.example tenant.example tenant.example"},
		{"none", "a@from.example", "", "", "shop", []string{"none"}, ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			m := message(test.from, "\r\nbody\r\n")
			if test.sender != "" {
				m = "Sender: " + test.sender + "\r\n" + m
			}
			parts := split(m)
			parts.Sender, parts.User, parts.With = test.envelope, test.user, test.with
			fields, err := s.Sign(context.Background(), parts)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(verify(t, records, string(fields)+m), " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			entries, err := s.Keys(parts)
			if err != nil {
				t.Fatal(err)
			}
			var foretold []string
			for _, e := range entries {
				foretold = append(foretold, e.Domain)
			}
			if got := strings.Join(foretold, " "); got != test.want {
				t.Errorf("foretold %q, want %q", got, test.want)
			}
		})
	}
}

// A rule that names a key which is not there is a fault of the configuration, and until
// that is mended the reason why a message is not signed.
func TestNamedKeys(t *testing.T) {
	t.Parallel()
	s, _ := choosy(t)
	for name, want := range map[string]bool{
		"from.example": true, "F._domainkey.from.example": true, "none": true,
		"deep.from.example": false, "g._domainkey.from.example": false, "": false, "example": false,
	} {
		if got := s.Has(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
	parts := split(message("a@from.example", "\r\nbody\r\n"))
	parts.With = []string{"gone.example"}
	if fields, err := s.Sign(context.Background(), parts); !errors.Is(err, dkim.ErrNoKey) || fields != nil {
		t.Errorf("got %q, %v", fields, err)
	}
}

// The tags that a key asks for, and the fields that it signs.
func TestTags(t *testing.T) {
	t.Parallel()
	now := time.Now()
	private := newEd25519(t)
	k := dkim.Key{
		Domain: "example.com", Selector: "s", Path: pkcs8(t, private), Identity: "@news.example.com", Expires: time.Hour,
		Headers: []string{"Subject", "from", "X-Campaign", "To"},
	}
	s, err := dkim.New(dkim.Options{Keys: []dkim.Key{k}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	m := "X-Campaign: 1\r\nX-Campaign: 2\r\n" + message("a@example.com", "\r\nbody\r\n")
	fields, err := s.Sign(context.Background(), split(m))
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(string(fields)), " ")
	for _, want := range []string{
		"c=relaxed/relaxed;", "i=@news.example.com;", fmt.Sprintf("t=%d;", now.Unix()), fmt.Sprintf("x=%d;", now.Add(time.Hour).Unix()),
		"h=from:from:subject:subject:x-campaign:x-campaign:x-campaign:to:to;",
	} {
		if !strings.Contains(flat, want) {
			t.Errorf("%s is not in %s", want, flat)
		}
	}
	if strings.Contains(flat, " l=") {
		t.Errorf("a length is in %s", flat)
	}
	records := make(dns)
	records.publish(k, private.Public())
	for name, changed := range map[string]string{
		"as it is": m, "an unsigned field": "Reply-To: c@example.com\r\n" + m,
	} {
		if got := verify(t, records, string(fields)+changed); len(got) != 1 || got[0] != "example.com" {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := verify(t, records, string(fields)+"X-Campaign: 3\r\n"+m); len(got) != 1 || got[0] == "example.com" {
		t.Errorf("with one campaign more: %v", got)
	}
}
