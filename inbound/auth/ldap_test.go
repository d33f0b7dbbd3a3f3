package auth_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"postrider/inbound/auth"
	"postrider/relay"
)

// asking is a room whose users are in the directory.
func asking(t testing.TB, o auth.LDAPOptions) *room {
	r := newRoom(t)
	r.options.File, r.options.LDAP, r.options.CacheTTL = "", &o, -1
	return r
}

func binding(d *directory) auth.LDAPOptions {
	return auth.LDAPOptions{URLs: []string{d.url()}, UserDN: "uid={user},ou=people,dc=example,dc=com"}
}

func searching(d *directory) auth.LDAPOptions {
	return auth.LDAPOptions{
		URLs: []string{d.url()}, BindDN: serviceDN, BindPassword: "service",
		Base: "dc=example,dc=com", Filter: "(uid={user})", SenderAttribute: "mail",
	}
}

func TestLDAP(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]func(*directory) auth.LDAPOptions{"bind": binding, "search": searching} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDirectory(t)
			r := asking(t, options(d)).open()
			for _, test := range []struct{ user, password, want string }{
				{"ann", "secret", "ann"},
				{"Ann ", "secret", "ann"}, // one user to the directory, and to us
				{"ann", "wrong", "535 5.7.8"},
				{"ann", "", "535 5.7.8"}, // the directory would say yes
				{"eve", "secret", "535 5.7.8"},
				{"*", "secret", "535 5.7.8"},
				{" ", "secret", "535 5.7.8"},
				{"ann,ou=people", "secret", "535 5.7.8"},
				{"ann)(uid=*", "secret", "535 5.7.8"},
			} {
				if got := r.login(test.user, test.password); got != test.want {
					t.Errorf("%q %q: got %s, want %s", test.user, test.password, got, test.want)
				}
			}
			if d.accepted != 1 {
				t.Errorf("%d connections, want one that is used again", d.accepted)
			}
			if len(r.faults) > 0 {
				t.Errorf("faults %v", r.faults)
			}
		})
	}
}

func TestLDAPSenders(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	d.found["bob"] = []person{{dn: annDN}} // without an address
	r := asking(t, searching(d)).open()
	for user, want := range map[string][]string{"ann": {"", "ann@example.com", "ann.smith@example.com", "as@example.com"}, "bob": {""}} {
		x, _ := r.Begin(auth.Plain, home, "main")
		_, id, reply := x.Next(context.Background(), []byte("\x00"+user+"\x00secret"))
		if reply != nil {
			t.Fatal(reply)
		}
		var allowed []string
		for _, try := range []string{"", "ann@example.com", "ann.smith@example.com", "as@example.com", "bob@example.com"} {
			address, err := relay.ParseAddress(try)
			if err != nil {
				t.Fatal(err)
			}
			if r.Mail(id, address) == nil {
				allowed = append(allowed, try)
			}
		}
		if !slices.Equal(allowed, want) {
			t.Errorf("%s may send as %q, want %q", user, allowed, want)
		}
	}
}

// What the directory does not clearly deny is a failure.
func TestLDAPFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options func(*directory) auth.LDAPOptions
		change  func(*directory, *auth.LDAPOptions)
	}{
		"gone":              {binding, func(d *directory, _ *auth.LDAPOptions) { d.Close() }},
		"busy":              {binding, func(d *directory, _ *auth.LDAPOptions) { d.result.Store(51) }},
		"unwilling":         {binding, func(d *directory, _ *auth.LDAPOptions) { d.result.Store(53) }},
		"bad DN":            {binding, func(d *directory, _ *auth.LDAPOptions) { d.result.Store(34) }},
		"silent":            {binding, func(d *directory, o *auth.LDAPOptions) { d.silent.Store(true); o.Timeout = 20 * time.Millisecond }},
		"our own password":  {searching, func(_ *directory, o *auth.LDAPOptions) { o.BindPassword = "changed" }},
		"two of that name":  {searching, func(d *directory, _ *auth.LDAPOptions) { d.found["ann"] = []person{{dn: annDN}, {dn: annDN}} }},
		"StartTLS, strange": {binding, func(_ *directory, o *auth.LDAPOptions) { o.StartTLS = true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDirectory(t)
			o := test.options(d)
			test.change(d, &o)
			r := asking(t, o).open()
			if got := r.login("ann", "secret"); got != "454 4.7.0" || len(r.faults) != 1 {
				t.Errorf("got %s, faults %v", got, r.faults)
			}
		})
	}
}

// A directory that was gone for a while is asked again, over a new connection; so is the next one.
func TestLDAPComesBack(t *testing.T) {
	t.Parallel()
	d, dead := newDirectory(t), newDirectory(t)
	dead.Close()
	o := binding(d)
	o.URLs = []string{dead.url(), d.url()}
	r := asking(t, o).open()
	for i := range 3 {
		if got := r.login("ann", "secret"); got != "ann" {
			t.Errorf("round %d: got %s: %v", i, got, r.faults)
		}
		d.hangUp()
	}
}

func TestLDAPStartTLS(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	o := searching(d)
	o.StartTLS, o.CAFile = true, d.caFile
	r := asking(t, o).open()
	if got := r.login("ann", "secret"); got != "ann" {
		t.Errorf("got %s: %v", got, r.faults)
	}
	want := []string{"StartTLS", "bind " + serviceDN, "search dc=example,dc=com for ann", "bind " + annDN}
	if !slices.Equal(d.log, want) {
		t.Errorf("asked %q, want %q", d.log, want)
	}
}
