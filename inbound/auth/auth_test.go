package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"postrider/inbound/auth"
	"postrider/relay"
)

// room is an authority with its surroundings.
type room struct {
	t       testing.TB
	options auth.Options
	*auth.Authority
	faults []relay.Fault
}

// newRoom prepares an authority with a users file: the password of each is "secret".
func newRoom(t testing.TB, lines ...string) *room {
	r := &room{t: t}
	r.options = auth.Options{File: filepath.Join(t.TempDir(), "users"), Delay: -1}
	r.options.Fault = func(f relay.Fault) { r.faults = append(r.faults, f) }
	write(t, r.options.File, strings.Join(lines, "\n")+"\n")
	return r
}

func (r *room) open() *room {
	r.t.Helper()
	var err error
	if r.Authority, err = auth.New(r.options); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.Authority.Close() })
	return r
}

// write puts a whole file in the place of what is there.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// cheap is a bcrypt hash of the password that costs next to nothing.
func cheap(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// made is a new secret's text.
func made(t testing.TB, scheme auth.Scheme, password string) string {
	t.Helper()
	secret, err := auth.NewSecret(scheme, password)
	if err != nil {
		t.Fatal(err)
	}
	return secret.String()
}

var home = netip.MustParseAddr("192.0.2.1")

// loginFrom authenticates with PLAIN and gives the user, or the reply's codes.
func (r *room) loginFrom(client netip.Addr, user, password string) string {
	r.t.Helper()
	x, ok := r.Begin(auth.Plain, client, "main")
	if !ok {
		r.t.Fatal("PLAIN is not accepted")
	}
	_, id, reply := x.Next(context.Background(), []byte("\x00"+user+"\x00"+password))
	if reply != nil {
		return reply.String()[:9]
	}
	return id.User
}

func (r *room) login(user, password string) string {
	r.t.Helper()
	return r.loginFrom(home, user, password)
}

func TestSchemes(t *testing.T) {
	t.Parallel()
	for _, scheme := range []auth.Scheme{auth.SchemeBcrypt, auth.SchemeArgon2, auth.SchemeSCRAM} {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			secret := made(t, scheme, "secret")
			if scheme == auth.SchemeBcrypt {
				secret = cheap(t, "secret") // a new one takes seconds to check with the race detector
			}
			r := newRoom(t, "ann:"+secret).open()
			for _, test := range []struct{ user, password, want string }{
				{"ann", "secret", "ann"},
				{"ann", "Secret", "535 5.7.8"},
				{"ann", "", "535 5.7.8"},
				{"Ann", "secret", "535 5.7.8"},
				{"eve", "secret", "535 5.7.8"},
				{"", "secret", "535 5.7.8"},
				{"ann\xff", "secret", "501 5.5.2"},
				{"ann\n", "secret", "501 5.5.2"},
				{strings.Repeat("a", 256), "secret", "501 5.5.2"},
			} {
				if got := r.login(test.user, test.password); got != test.want {
					t.Errorf("%q %q: got %s, want %s", test.user, test.password, got, test.want)
				}
			}
			if _, err := auth.NewSecret(scheme, ""); err == nil {
				t.Error("an empty password was taken")
			}
		})
	}
}

// Hashes that others make: with htpasswd's prefix, and of the password, salt and iterations of
// RFC 7677 section 3.
func TestForeignSecrets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, secret, password string }{
		{"bcrypt 2y", strings.Replace(cheap(t, "secret"), "$2a$", "$2y$", 1), "secret"},
		{"RFC 7677", "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", "pencil"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t, "ann:"+test.secret).open()
			if got := r.login("ann", test.password); got != "ann" {
				t.Errorf("got %s", got)
			}
			if got := r.login("ann", test.password+"x"); got != "535 5.7.8" {
				t.Errorf("wrong password: got %s", got)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	hash := cheap(t, "secret")
	argon := made(t, auth.SchemeArgon2, "secret")
	scram := made(t, auth.SchemeSCRAM, "secret")
	for _, test := range []struct{ name, text, want string }{
		{"no secret", "ann", "line 1: want name:secret[:options]"},
		{"no name", "\n:" + hash, "line 2: the name is empty"},
		{"bad name", " ann\x01:" + hash, "line 1: \"ann\\x01\" cannot be the name of a user"},
		{"clear password", "ann:secret", `line 1: user "ann": the password is not a bcrypt, argon2id or SCRAM-SHA-256 hash`},
		{"cut bcrypt", "ann:" + hash[:59], `user "ann": the password is not a bcrypt hash`},
		{"dear bcrypt", "ann:" + strings.Replace(hash, "$04$", "$31$", 1), "bcrypt of cost 31: at most 16 is sensible"},
		{"cut argon2id", "ann:" + argon[:70], "the password is not an argon2id hash"},
		{"argon2i", "ann:" + strings.Replace(argon, "argon2id", "argon2i", 1), "the password is not a bcrypt"},
		{"dear argon2id", "ann:" + strings.Replace(argon, "m=19456", "m=4000000", 1), "an argon2id hash of m=4000000,t=2: at most"},
		{"argon2id without threads", "ann:" + strings.Replace(argon, "p=1", "p=0", 1), "the password is not an argon2id hash"},
		{"cut SCRAM", "ann:" + scram[:60], "the password is not a SCRAM hash"},
		{"weak SCRAM", "ann:" + strings.Replace(scram, "$15000:", "$1000:", 1), "a SCRAM hash of 1000 iterations: from 4096"},
		{"twice", "ann:" + hash + "\nann:" + hash, `line 2: user "ann" was named before`},
		{"bad sender", "ann:" + hash + ":x y@z", `user "ann": "x y@z": not a valid address`},
		{"unknown option", "ann:" + hash + ":admin", `"admin" is not a sender, rate=1000/1h or quota=5000`},
		{"bad rate", "ann:" + hash + ":rate=many", `"many" is not a rate such as 1000/1h`},
		{"bad quota", "ann:" + hash + ":quota=-1", `is not a rate`},
		{"long line", "#" + strings.Repeat("x", 100_000), "token too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t, test.text)
			if _, err := auth.New(r.options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestOptionFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		options auth.Options
		want    string
	}{
		{"no users", auth.Options{}, "there are no users"},
		{"no file", auth.Options{File: "/missing/users"}, "no such file"},
		{"mechanism", auth.Options{File: os.DevNull, Mechanisms: []string{"CRAM-MD5"}}, `mechanism "CRAM-MD5"`},
		{"SCRAM without a file", auth.Options{HTTP: &auth.HTTPOptions{URL: "https://x/"}, Mechanisms: []string{auth.SCRAM}}, "needs a users file"},
		{"no URL", auth.Options{HTTP: &auth.HTTPOptions{URL: "auth.example.com"}}, "is not a URL"},
		{"http", auth.Options{HTTP: &auth.HTTPOptions{URL: "http://auth.example.com/"}}, "would show passwords to the network"},
		{"CA", auth.Options{HTTP: &auth.HTTPOptions{URL: "https://x/", CAFile: os.DevNull}}, "has no certificate"},
		{"LDAP without URL", auth.Options{LDAP: &auth.LDAPOptions{UserDN: "uid={user}"}}, "no url"},
		{"LDAP in clear", auth.Options{LDAP: &auth.LDAPOptions{URLs: []string{"ldap://ldap.example.com"}, UserDN: "uid={user}"}}, "would show passwords"},
		{"LDAP URL", auth.Options{LDAP: &auth.LDAPOptions{URLs: []string{"http://x"}, UserDN: "uid={user}"}}, "is not a URL such as ldaps"},
		{"LDAP without a way", auth.Options{LDAP: &auth.LDAPOptions{URLs: []string{"ldaps://x"}}}, "needs either user_dn or filter"},
		{"LDAP both ways", auth.Options{LDAP: &auth.LDAPOptions{URLs: []string{"ldaps://x"}, UserDN: "uid={user}", Filter: "(uid={user})"}}, "needs either"},
		{"LDAP without user", auth.Options{LDAP: &auth.LDAPOptions{URLs: []string{"ldaps://x"}, UserDN: "uid=relay"}}, "has no {user}"},
		{"LDAP filter", auth.Options{LDAP: &auth.LDAPOptions{URLs: []string{"ldaps://x"}, Filter: "(uid={user}"}}, "filter"},
		{"LDAP senders", auth.Options{LDAP: &auth.LDAPOptions{URLs: []string{"ldaps://x"}, UserDN: "uid={user}", SenderAttribute: "mail"}}, "senders needs a filter"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := auth.New(test.options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// What the file says of a user reaches the session.
func TestIdentity(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "# all", "", "ann:"+made(t, auth.SchemeSCRAM, "secret")+": a=b@example.com, @Shop.example ,rate=10/m, quota=100 ,").open()
	x, _ := r.Begin(auth.Plain, home, "main")
	_, id, reply := x.Next(context.Background(), []byte("\x00ann\x00secret"))
	if reply != nil {
		t.Fatal(reply)
	}
	if id.Rate != (auth.Rate{N: 10, Per: time.Minute}) || id.Quota != (auth.Rate{N: 100, Per: 24 * time.Hour}) {
		t.Errorf("rate %v, quota %v", id.Rate, id.Quota)
	}
	for text, want := range map[string]bool{"": true, "A=B@example.com": true, "x@shop.example": true, "b@example.com": false, "x@www.shop.example": false} {
		address, err := relay.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := id.Senders.Allow(address); got != want {
			t.Errorf("Allow(%s) = %v", text, got)
		}
	}
}

func TestSendersAllow(t *testing.T) {
	t.Parallel()
	senders := auth.Senders{"Boss@example.com", `"a b"@example.com`, "Postmaster", "@Shop.example"}
	for address, want := range map[relay.Address]bool{
		{Local: "bOSS", Domain: "EXAMPLE.com"}:              true,
		{Local: "bosſ", Domain: "example.com"}:              false,
		{Local: "boss", Domain: "example.org"}:              false,
		{Local: "boss"}:                                     false,
		{Local: "A B", Domain: "example.com"}:               true,
		{Local: "a b", Domain: "shop.example"}:              true,
		{Local: "postmaster"}:                               true,
		{Local: "postmaster", Domain: "example.com"}:        false,
		{Local: "@shop.example", Domain: "example.com"}:     false,
		{Local: "x@shop.example", Domain: "example.com"}:    false,
		{Local: "x", Domain: "www.shop.example"}:            false,
		{Local: "boss@example.com", Domain: "evil.example"}: false,
	} {
		if got := senders.Allow(address); got != want {
			t.Errorf("Allow(%s) = %v, want %v", address, got, want)
		}
	}
}

func TestParseRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1000/1h": "1000/1h", "10/s": "10/1s", "5/30m": "5/30m", "7/day": "7/24h", "1/1h30m": "1/1h30m", "2 / h": "2/1h",
		"": "", "10": "", "0/h": "", "-1/h": "", "10/": "", "10/-1h": "", "x/h": "", "1/0s": "",
	} {
		r, err := auth.ParseRate(text)
		if r.String() != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %s, %v, want %s", text, r, err, want)
		}
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	hash := cheap(t, "secret")
	r := newRoom(t, "ann:"+hash).open()
	steps := []struct {
		name   string
		change func()
		ann    string
		faults int
	}{
		{"as it was", func() {}, "ann", 0},
		{"replaced", func() { write(t, r.options.File, "bob:"+hash) }, "535 5.7.8", 0},
		{"back", func() { write(t, r.options.File, "ann:"+hash) }, "ann", 0},
		{"broken", func() { write(t, r.options.File, "ann") }, "ann", 1},
		{"still broken", func() {}, "ann", 1},
		{"gone", func() { os.Remove(r.options.File) }, "ann", 2},
		{"another password", func() {
			write(t, r.options.File, "ann:"+cheap(t, "other"))
			long := time.Now().Add(-time.Hour) // what comes where nothing was may not be whole yet
			if err := os.Chtimes(r.options.File, long, long); err != nil {
				t.Fatal(err)
			}
		}, "535 5.7.8", 2},
		{"nobody", func() { write(t, r.options.File, "") }, "535 5.7.8", 2},
	}
	for _, step := range steps {
		step.change()
		if got := r.login("ann", "secret"); got != step.ann || len(r.faults) != step.faults {
			t.Errorf("%s: got %s and %d faults, want %s and %d: %v", step.name, got, len(r.faults), step.ann, step.faults, r.faults)
		}
	}
}

// A file that is being written in place is not read by halves, nor is one that is written
// where there was none.
func TestReloadInPlace(t *testing.T) {
	t.Parallel()
	t.Run("over another", func(t *testing.T) { t.Parallel(); reloadInPlace(t, false) })
	t.Run("where there was none", func(t *testing.T) { t.Parallel(); reloadInPlace(t, true) })
}

func reloadInPlace(t *testing.T, missing bool) {
	hash := cheap(t, "secret")
	r := newRoom(t, "ann:"+hash)
	now := time.Now()
	r.options.Now = func() time.Time { return now }
	r.open()
	if missing {
		if err := os.Remove(r.options.File); err != nil {
			t.Fatal(err)
		}
		if got := r.login("ann", "secret"); got != "ann" { // a look at the place where it was
			t.Fatalf("without the file: got %s", got)
		}
	}
	if err := os.WriteFile(r.options.File, []byte("bob:"+hash), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(r.options.File, now, now); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		wait time.Duration
		want string
	}{{0, "ann"}, {900 * time.Millisecond, "ann"}, {200 * time.Millisecond, "535 5.7.8"}} {
		now = now.Add(step.wait)
		if got := r.login("ann", "secret"); got != step.want {
			t.Errorf("after %v more: got %s, want %s", step.wait, got, step.want)
		}
	}
}

func TestMechanisms(t *testing.T) {
	t.Parallel()
	bcrypt, scram := "ann:"+cheap(t, "secret"), "bob:"+made(t, auth.SchemeSCRAM, "secret")
	for _, test := range []struct {
		name     string
		lines    []string
		only     []string
		offered  string
		scram    bool
		callouts bool
	}{
		{"bcrypt", []string{bcrypt}, nil, "PLAIN LOGIN", false, false},
		{"SCRAM", []string{scram}, nil, "SCRAM-SHA-256 PLAIN LOGIN", true, false},
		{"both", []string{bcrypt, scram}, nil, "PLAIN LOGIN", true, false},
		{"another backend", []string{scram}, nil, "PLAIN LOGIN", true, true},
		{"configured", []string{bcrypt, scram}, []string{auth.SCRAM, auth.Login}, "SCRAM-SHA-256 LOGIN", true, false},
		{"without SCRAM", []string{scram}, []string{auth.Plain}, "PLAIN", false, false},
		{"nobody", nil, nil, "PLAIN LOGIN", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t, test.lines...)
			r.options.Mechanisms = test.only
			if test.callouts {
				r.options.HTTP = &auth.HTTPOptions{URL: "https://auth.example/"}
			}
			r.open()
			if got := strings.Join(r.Mechanisms(), " "); got != test.offered {
				t.Errorf("offers %s, want %s", got, test.offered)
			}
			if _, ok := r.Begin(auth.SCRAM, home, "main"); ok != test.scram {
				t.Errorf("SCRAM is accepted: %v, want %v", ok, test.scram)
			}
			if _, ok := r.Begin("CRAM-MD5", home, "main"); ok {
				t.Error("CRAM-MD5 is accepted")
			}
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "=": "", "YQ==": "a", "YQ": "a", "YWI=": "ab", "YWJj": "abc"} {
		if got, err := auth.Decode(text); err != nil || got == nil || string(got) != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"!", "Y", "YQ===", "Y=Q", "*", "YQ==\n!", " YQ=="} {
		if got, err := auth.Decode(text); err == nil {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

// LOGIN takes the name in any of the places where clients put it.
func TestLogin(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "ann:"+cheap(t, "secret")).open()
	for _, test := range []struct {
		name      string
		responses [][]byte
		want      string
	}{
		{"no initial response", [][]byte{nil, []byte("ann"), []byte("secret")}, "Username: Password: ann"},
		{"initial response", [][]byte{[]byte("ann"), []byte("secret")}, "Password: ann"},
		{"empty initial response", [][]byte{{}, []byte("ann"), []byte("secret")}, "Username: Password: ann"},
		{"empty name", [][]byte{nil, {}, []byte("secret")}, "Username: Password: 535"},
		{"wrong password", [][]byte{nil, []byte("ann"), []byte("x")}, "Username: Password: 535"},
	} {
		x, _ := r.Begin(auth.Login, home, "main")
		var said []string
		for _, response := range test.responses {
			challenge, id, reply := x.Next(context.Background(), response)
			switch {
			case reply != nil:
				said = append(said, reply.String()[:3])
			case id != nil:
				said = append(said, id.User)
			default:
				said = append(said, string(challenge))
			}
		}
		if got := strings.Join(said, " "); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "ann:"+cheap(t, "secret")).open()
	for response, want := range map[string]int{
		"\x00ann\x00secret": 0, "ann\x00ann\x00secret": 0, "bob\x00ann\x00secret": 535, "\x00ann\x00x": 535,
		"": 501, "ann": 501, "\x00ann": 501, "\x00ann\x00secret\x00": 501,
	} {
		x, _ := r.Begin(auth.Plain, home, "main")
		if challenge, _, reply := x.Next(context.Background(), nil); reply != nil || len(challenge) != 0 || challenge == nil {
			t.Fatalf("got %q, %v", challenge, reply)
		}
		_, id, reply := x.Next(context.Background(), []byte(response))
		if got := code(reply); got != want || (id != nil) != (want == 0) {
			t.Errorf("%q: got %d, %v, want %d", response, got, id, want)
		}
	}
}

func code(reply *relay.Reply) int {
	if reply == nil {
		return 0
	}
	return reply.Code
}

// Names that do not exist are checked against somebody's secret: always the same one's, and over
// all names everybody's in turn, so that the time taken says nothing.
func TestDoubles(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "ann:"+someBcrypt, "bob:"+someArgon2, "eve:"+someSCRAM).open()
	seen := map[string]int{}
	for i := range 100 {
		name := fmt.Sprint("nobody", i)
		double := auth.Double(r.Authority, name)
		if again := auth.Double(r.Authority, name); again != double {
			t.Errorf("%s is like %s and then like %s", name, double.User, again.User)
		}
		seen[double.User]++
	}
	if len(seen) != 3 {
		t.Errorf("only %v were seen", seen)
	}
	if auth.Double(newRoom(t).open().Authority, "x") != nil {
		t.Error("an empty file has somebody")
	}
}

// A failure has its reason for the log and none for the client.
func TestReplyCause(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "ann:"+cheap(t, "secret")).open()
	x, _ := r.Begin(auth.Plain, home, "main")
	_, _, reply := x.Next(context.Background(), []byte("\x00eve\x00secret"))
	if !errors.Is(reply, auth.ErrCredentials) || !strings.Contains(reply.Error(), `"eve"`) || strings.Contains(reply.String(), "eve") {
		t.Errorf("got %v", reply)
	}
	if strings.Contains(reply.Error(), "secret") {
		t.Error("the log would have the password")
	}
}
