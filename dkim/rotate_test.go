package dkim_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postrider/dkim"
)

// published is DNS as a rotation sees it.
type published map[string][]string

func (p published) lookup(_ context.Context, name string) ([]string, error) {
	if texts, ok := p[strings.TrimSuffix(name, ".")]; ok {
		return texts, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// told gives the steps in words.
func told(steps []dkim.Step) string {
	var all []string
	for _, s := range steps {
		all = append(all, s.Done+" "+s.Selector)
	}
	return strings.Join(all, ", ")
}

// signing gives the selectors that a signer with the directory uses.
func signing(t *testing.T, s *dkim.Signer) string {
	t.Helper()
	fields, err := s.Sign(context.Background(), split(message("a@shop.example", "\r\nbody\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, found := range regexp.MustCompile(`[ \t]s=([^;]+);`).FindAllStringSubmatch(string(fields), -1) {
		all = append(all, found[1])
	}
	return strings.Join(all, " ")
}

// A rotation never has a day without a key that is published, and a signer follows it.
func TestRotation(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	directory, dns := filepath.Join(t.TempDir(), "keys"), make(published)
	s, err := dkim.New(dkim.Options{Keys: []dkim.Key{{Directory: directory}}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	rotation := func() *dkim.Rotation {
		return &dkim.Rotation{Directory: directory, Domain: "shop.example", Lookup: dns.lookup, Now: now, Overlap: 14 * 24 * time.Hour}
	}
	records := make(map[string]dkim.Record)
	for _, kind := range []dkim.Kind{dkim.KindRSA, dkim.KindEd25519} {
		step, err := rotation().AddKey(kind, 1024, "")
		if err != nil {
			t.Fatal(err)
		}
		records[step.Selector] = step.Record
	}
	publish := func(selector string) { r := records[selector]; dns[r.Name] = []string{r.Text} }
	for _, step := range []struct {
		what          string
		do            func(*dkim.Rotation)
		after         time.Duration
		want, signing string
	}{
		{"nothing is published", func(*dkim.Rotation) {}, 0, "waits ed20261122, waits rsa20261122", ""},
		{"one is", func(*dkim.Rotation) { publish("rsa20261122") }, 0, "waits ed20261122, activated rsa20261122", "rsa20261122"},
		{"both are", func(*dkim.Rotation) { publish("ed20261122") }, 0, "activated ed20261122", "ed20261122 rsa20261122"},
		{"all is done", func(*dkim.Rotation) {}, time.Hour, "", "ed20261122 rsa20261122"},
		{"too young", func(r *dkim.Rotation) { r.Begin, r.Age = true, 30*24*time.Hour }, time.Hour, "", "ed20261122 rsa20261122"},
		{"it begins", func(r *dkim.Rotation) { r.Begin, r.Age = true, 30*24*time.Hour }, 40 * 24 * time.Hour, "created rsa20270101, created ed20270101", "ed20261122 rsa20261122"},
		{"twice", func(r *dkim.Rotation) { r.Begin = true }, 0, "waits rsa20270101, waits ed20270101", "ed20261122 rsa20261122"},
		{"only said", func(r *dkim.Rotation) { publish("rsa20270101"); r.DryRun = true }, 0, "activated rsa20270101, retired rsa20261122, waits ed20270101", "ed20261122 rsa20261122"},
		{"one is new", func(*dkim.Rotation) {}, 0, "activated rsa20270101, retired rsa20261122, waits ed20270101", "ed20261122 rsa20270101"},
		{"not waited for", func(r *dkim.Rotation) { r.Activate = true }, 0, "activated ed20270101, retired ed20261122", "ed20270101 rsa20270101"},
		{"overlap", func(r *dkim.Rotation) { r.Begin = true }, 13 * 24 * time.Hour, "waits rsa20261122, waits ed20261122", "ed20270101 rsa20270101"},
		{"over", func(*dkim.Rotation) {}, 2 * 24 * time.Hour, "removed rsa20261122, removed ed20261122", "ed20270101 rsa20270101"},
		{"and again", func(*dkim.Rotation) {}, 0, "", "ed20270101 rsa20270101"},
	} {
		now = now.Add(step.after)
		r := rotation()
		step.do(r)
		steps, err := r.Advance(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		for _, s := range steps {
			if s.Done == "created" {
				records[s.Selector] = s.Record
			}
		}
		if !sameWords(told(steps), step.want) {
			t.Errorf("%s: %s, want %s", step.what, told(steps), step.want)
		}
		now = now.Add(2 * time.Second) // the files are looked at again
		if got := signing(t, s); got != step.signing {
			t.Errorf("%s: signed with %q, want %q", step.what, got, step.signing)
		}
	}
	files, err := filepath.Glob(filepath.Join(directory, "shop.example", "*"))
	if err != nil || len(files) != 3 {
		t.Errorf("left are %v, %v", files, err)
	}
}

// sameWords compares lists whose order does not matter.
func sameWords(a, b string) bool {
	left, right := make(map[string]bool), make(map[string]bool)
	for part := range strings.SplitSeq(a, ", ") {
		left[part] = true
	}
	for part := range strings.SplitSeq(b, ", ") {
		right[part] = true
		if !left[part] {
			return false
		}
	}
	return len(left) == len(right)
}

func TestRotationFaults(t *testing.T) {
	t.Parallel()
	r := dkim.Rotation{Directory: t.TempDir(), Domain: "shop.example", Now: time.Now()}
	if _, err := r.Advance(t.Context()); err == nil {
		t.Error("a domain without keys was rotated")
	}
	if _, err := r.AddKey(dkim.KindEd25519, 0, "s1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddKey(dkim.KindEd25519, 0, "s1"); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second key of the selector: %v", err)
	}
	for _, selector := range []string{"a/b", "../x", "A"} {
		if _, err := r.AddKey(dkim.KindEd25519, 0, selector); err == nil {
			t.Errorf("selector %q was taken", selector)
		}
	}
	r.Domain = "../shop.example"
	if _, err := r.AddKey(dkim.KindEd25519, 0, "s1"); err == nil {
		t.Error("a domain outside of the directory was taken")
	}
	info, err := os.Stat(filepath.Join(r.Directory, "shop.example", "s1.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := dkim.Generate("dsa", 0); err == nil {
		t.Error("a key of DSA was made")
	}
	if _, err := dkim.Generate(dkim.KindRSA, 512); err == nil {
		t.Error("a weak key was made")
	}
}

// A key file that breaks leaves the keys as they were, and somebody is told once.
func TestKeysReload(t *testing.T) {
	t.Parallel()
	now := time.Now()
	directory := t.TempDir()
	var faults []error
	s, err := dkim.New(dkim.Options{
		Keys: []dkim.Key{{Directory: directory}}, Now: func() time.Time { return now },
		Fault: func(err error) { faults = append(faults, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	r := dkim.Rotation{Directory: directory, Domain: "shop.example", Now: now, Activate: true}
	if _, err := r.AddKey(dkim.KindEd25519, 0, "one"); err != nil {
		t.Fatal(err)
	}
	if got := signing(t, s); got != "" {
		t.Errorf("signed with %q before a look was due", got)
	}
	now = now.Add(2 * time.Second)
	if got := signing(t, s); got != "one" {
		t.Errorf("signed with %q", got)
	}
	broken := filepath.Join(directory, "shop.example", "two.pem")
	if err := os.WriteFile(broken, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		now = now.Add(2 * time.Second)
		if got := signing(t, s); got != "one" {
			t.Errorf("signed with %q", got)
		}
	}
	if len(faults) != 1 || !strings.Contains(faults[0].Error(), broken) {
		t.Errorf("told %v", faults)
	}
	if err := s.Reload(); err == nil {
		t.Error("a broken key was loaded")
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if _, err := r.AddKey(dkim.KindEd25519, 0, "three"); err != nil {
		t.Fatal(err)
	}
	if got := signing(t, s); got != "one three" {
		t.Errorf("signed with %q", got)
	}
}

// A directory serves as many domains as one likes, each with its own keys, those below included.
func TestManyDomains(t *testing.T) {
	t.Parallel()
	now := time.Now()
	directory, records := t.TempDir(), make(dns)
	s, err := dkim.New(dkim.Options{Keys: []dkim.Key{{Directory: directory}}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		r := dkim.Rotation{Directory: directory, Domain: fmt.Sprintf("d%d.example", i), Now: now, Activate: true}
		step, err := r.AddKey(dkim.KindEd25519, 0, "s1")
		if err != nil {
			t.Fatal(err)
		}
		records[step.Record.Name] = step.Record.Text
	}
	now = now.Add(2 * time.Second)
	for i := range 50 {
		m := message(fmt.Sprintf("a@mail.d%d.example", i), "\r\nbody\r\n")
		fields, err := s.Sign(context.Background(), split(m))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(verify(t, records, string(fields)+m), " "); got != fmt.Sprintf("d%d.example", i) {
			t.Errorf("mail of d%d.example: got %q", i, got)
		}
	}
}
