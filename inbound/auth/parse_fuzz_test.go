package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"postrider/inbound/auth"
	"postrider/relay"
)

// untiring is a room where nobody is slowed for failing.
func untiring(t testing.TB, lines ...string) *room {
	r := newRoom(t, lines...)
	r.options.Failures, r.options.CacheTTL, r.options.FromHeader = auth.Rate{N: -1}, -1, true
	r.options.Fault = func(relay.Fault) {}
	return r
}

// What is decoded is what was meant, and nothing that is no base64 is taken for some.
func FuzzDecode(f *testing.F) {
	for _, line := range []string{"", "=", "==", "===", "AGFubgBzZWNyZXQ=", "AGFubgBzZWNyZXQ", "YQ==", "YQ=", "Y Q", "YR", "a-_b", "Y=Q", "*", "\xff"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		decoded, err := auth.Decode(line)
		if err != nil {
			return
		}
		text := strings.TrimRight(line, "=")
		if len(line)-len(text) > 2 {
			t.Errorf("%q passes with more padding than there can be", line)
		}
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
		text = strings.NewReplacer("\r", "", "\n", "").Replace(text) // no line has them
		if rest := strings.Trim(text, alphabet); rest != "" {
			t.Errorf("%q passes with %q in it", line, rest)
		}
		if n := len(text) * 6 / 8; len(decoded) != n {
			t.Errorf("%q is %d bytes, want %d", line, len(decoded), n)
		}
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding} {
			if again, err := auth.Decode(encoding.EncodeToString(decoded)); err != nil || !bytes.Equal(again, decoded) {
				t.Errorf("%q is %q, which comes back as %q, %v", line, decoded, again, err)
			}
		}
	})
}

// Only who gives a name and its password gets in, and as nobody else.
func FuzzPlain(f *testing.F) {
	for _, response := range []string{"\x00ann\x00secret", "ann\x00ann\x00secret", "bob\x00ann\x00secret", "\x00ann\x00", "\x00\x00secret", "\x00bob\x00secret\x00", "ann\x00secret", "", "\x00an\nn\x00secret", "\x00eve\x00secret", "\x00Ann\x00secret"} {
		f.Add([]byte(response))
	}
	r := untiring(f, "ann:"+cheap(f, "secret"), "bob:"+cheap(f, "other")).open()
	f.Fuzz(func(t *testing.T, response []byte) {
		x, _ := r.Begin(auth.Plain, home, "main")
		_, id, reply := x.Next(context.Background(), response)
		user := ""
		switch string(response) {
		case "\x00ann\x00secret", "ann\x00ann\x00secret":
			user = "ann"
		case "\x00bob\x00other", "bob\x00bob\x00other":
			user = "bob"
		}
		switch {
		case id != nil && (reply != nil || id.User != user):
			t.Errorf("%q lets %q in, with %v", response, id.User, reply)
		case id == nil && user != "":
			t.Errorf("%q: got %v", response, reply)
		case id == nil && (reply == nil || reply.Code != 501 && reply.Code != 535):
			t.Errorf("%q: got %v", response, reply)
		}
		if name := x.User(); !auth.IsName(name) || strings.ContainsAny(name, "\r\n\x00") {
			t.Errorf("%q has the name %q, which will be logged", response, name)
		}
	})
}

// Who may write as bob only does not get anybody else's address past, wherever it stands.
func FuzzHeader(f *testing.F) {
	for _, from := range []string{
		"bob@example.com", "Bob <bob@example.com>", "x@shop.example, BOB@example.com", `"ceo@example.com" <bob@example.com>`, `"ceo@example.com":;`, "team: bob@example.com;",
		"bob@(not this)example.com", `"b\ob"@example.com`, "=?utf-8?q?ceo=40example.com?= <bob@example.com>", "ceo@example.com", "<bob@example.com> <ceo@example.com>", "bob@example.com\r\n ,ceo@example.com", "<>", "", "bob@EXAMPLE.com.", "x@ｓhop.example",
	} {
		f.Add(from)
	}
	r := untiring(f, "ann:"+someBcrypt).open()
	bob := &auth.Identity{User: "bob", Senders: auth.Senders{"bob@example.com", "@shop.example"}}
	f.Fuzz(func(t *testing.T, from string) {
		reply := r.Header(bob, []string{from})
		if reply != nil {
			if reply.Code != 550 && reply.Code != 553 {
				t.Errorf("%q: got %v", from, reply)
			}
			return
		}
		if r.Header(bob, []string{from, from}) == nil {
			t.Errorf("%q passes twice", from)
		}
		for _, more := range []string{from + ", ceo@other.example", "ceo@other.example, " + from, from + ", Bob <bob@other.example>"} {
			if r.Header(bob, []string{more}) == nil {
				t.Errorf("%q passes, and so does %q", from, more)
			}
		}
		// What could write an address in another way is not looked at here.
		if plain := strings.ToLower(from); !strings.ContainsAny(plain, "(\\\"") && !strings.ContainsFunc(plain, func(r rune) bool { return r <= ' ' || r > '~' }) &&
			!strings.Contains(plain, "bob@example.com") && !strings.Contains(plain, "@shop.example") {
			t.Errorf("%q passes", from)
		}
	})
}

// An address that a directory has for a user is one, and lets the user send as nobody else.
func FuzzAddresses(f *testing.F) {
	for _, value := range []string{"ann@example.com", "SMTP:ann@example.com", "smtp:Ann@Example.com", "x400:c=us;a= ;p=x", "x500:/o=x", "@example.com", "smtp:@example.com", "", "smtp:", ":", "postmaster", "smtp:smtp:ann@example.com", `"a b"@example.com`, "ann@[192.0.2.1]"} {
		f.Add(value)
	}
	ceo := relay.Address{Local: "ceo", Domain: "other.example"}
	f.Fuzz(func(t *testing.T, value string) {
		found := auth.Addresses([]string{value, "ann@example.com"})
		if len(found) == 0 || len(found) > 2 || found[len(found)-1] != "ann@example.com" {
			t.Fatalf("%q gives %q", value, found)
		}
		if len(found) == 1 {
			return
		}
		address, err := relay.ParseAddress(found[0])
		if err != nil || address.IsNull() || strings.HasPrefix(found[0], "@") || !strings.HasSuffix(value, found[0]) {
			t.Errorf("%q gives %q, which is %+v, %v", value, found, address, err)
		}
		if auth.Senders(found).Allow(ceo) != (address == ceo) && !strings.EqualFold(found[0], ceo.String()) {
			t.Errorf("%q lets its user send as %s", value, ceo)
		}
	})
}

// A service lets in whom it says yes about, for as much as it says, whatever else it says.
func FuzzHTTPAnswer(f *testing.F) {
	for _, text := range []string{
		`{"ok": true}`, `{"ok": false}`, `{"ok": true, "user": "ann", "senders": ["@example.com", "a@b"], "rate": "10/1h", "quota": "50"}`, `{"ok": true, "senders": []}`, `{"ok": true, "senders": null}`,
		`{"ok": true, "senders": [""]}`, `{"ok": true, "senders": ["@"]}`, `{"ok": true, "user": "a\u0000"}`, `{"ok": "true"}`, `{"ok": 1}`, `null`, `[]`, ``, `{"ok": true, "rate": "-1/0s"}`, `{"ok": true}{"ok": false}`, `{"ok": true, "rate": "0"}`,
	} {
		f.Add(text)
	}
	var said atomic.Value
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, said.Load().(string)) }))
	f.Cleanup(service.Close)
	r := untiring(f)
	r.options.File, r.options.HTTP = "", &auth.HTTPOptions{URL: service.URL}
	r.open()
	f.Fuzz(func(t *testing.T, text string) {
		said.Store(text)
		x, _ := r.Begin(auth.Plain, home, "main")
		_, id, reply := x.Next(context.Background(), []byte("\x00ann\x00secret"))
		var fields map[string]json.RawMessage
		wellFormed := json.Unmarshal([]byte(text), &fields) == nil
		if id == nil {
			if reply == nil || reply.Code != 454 && reply.Code != 535 || reply.Code == 535 && !strings.Contains(text, "false") {
				t.Errorf("%q: got %v", text, reply)
			}
			return
		}
		if !wellFormed || !strings.Contains(text, "true") {
			t.Fatalf("%q lets somebody in", text)
		}
		if !auth.IsName(id.User) || id.User == "" {
			t.Errorf("%q lets %q in", text, id.User)
		}
		for name, value := range fields { // of two that are alike the last one may be none
			if strings.EqualFold(name, "senders") && string(value) != "null" && len(id.Senders) == 0 && !strings.Contains(text, "null") {
				t.Errorf("%q lets its user send as anybody", text)
			}
		}
		if id.Rate.N < 0 || id.Quota.N < 0 || id.Rate.Per < 0 || id.Quota.Per < 0 {
			t.Errorf("%q gives the rate %s and the quota %s", text, id.Rate, id.Quota)
		}
	})
}
