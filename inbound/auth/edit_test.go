package auth_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"postrider/inbound/auth"
)

func TestEditUsers(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "# ours", "ann:"+someBcrypt+":a@example.com , rate=10/m", "", "bob:"+someBcrypt)
	real := r.options.File
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(real, 0o640); err != nil {
		t.Fatal(err)
	}
	err := auth.EditUsers(link, func(u *auth.Users) error {
		e := u.Find("bob")
		e.Senders = auth.Senders{"@shop.example"}
		return errors.Join(u.Set(e), u.Set(&auth.Entry{Identity: auth.Identity{User: "eve"}, Secret: e.Secret}))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "# ours\nann:" + someBcrypt + ":a@example.com , rate=10/m\n\nbob:" + someBcrypt + ":@shop.example\neve:" + someBcrypt + "\n"
	if got := read(t, real); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is %v, %v", info, err)
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(real), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A fault changes nothing, and a file that does not make sense is not touched.
func TestEditUsersFaults(t *testing.T) {
	t.Parallel()
	no := errors.New("no")
	set := func(name string, senders ...string) func(*auth.Users) error {
		return func(u *auth.Users) error {
			secret, _, _ := auth.ParseSecret(someBcrypt)
			return u.Set(&auth.Entry{Identity: auth.Identity{User: name, Senders: senders}, Secret: secret})
		}
	}
	for name, test := range map[string]struct {
		text   string
		change func(*auth.Users) error
	}{
		"change":     {"ann:" + someBcrypt, func(u *auth.Users) error { u.Remove("ann"); return no }},
		"broken":     {"ann:x", func(*auth.Users) error { return nil }},
		"name":       {"", set("a:b")},
		"empty name": {"", set("")},
		"comment":    {"", set("#a")},
		"line":       {"", set("a", "b@c\nroot")},
		"sender":     {"", set("a", "b@c,d")},
	} {
		r := newRoom(t, test.text)
		before := read(t, r.options.File)
		if err := auth.EditUsers(r.options.File, test.change); err == nil {
			t.Errorf("%s: no error", name)
		}
		if after := read(t, r.options.File); after != before {
			t.Errorf("%s: the file is now %q", name, after)
		}
	}
}

// Editors wait for each other, and readers never see half a file.
func TestEditUsersAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "users")
	secret, _, err := auth.ParseSecret(someBcrypt)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			e := &auth.Entry{Identity: auth.Identity{User: fmt.Sprint("user", i)}, Secret: secret}
			if err := auth.EditUsers(path, func(u *auth.Users) error { return u.Set(e) }); err != nil {
				t.Error(err)
			}
			if _, err := auth.ReadUsers(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(read(t, path), "\n"); n != 20 {
		t.Errorf("%d lines, want 20", n)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a new file is %v, %v", info, err)
	}
}
