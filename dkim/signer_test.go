package dkim_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"postrider/dkim"
)

// dns answers TXT queries from what the test published.
type dns map[string]string

func (d dns) lookup(name string) ([]string, error) {
	if record, ok := d[strings.TrimSuffix(name, ".")]; ok {
		return []string{record}, nil
	}
	return nil, fmt.Errorf("%s: no such record", name)
}

func (d dns) publish(k dkim.Key, public crypto.PublicKey) {
	kind, der := "rsa", []byte(nil)
	if ed, ok := public.(ed25519.PublicKey); ok {
		kind, der = "ed25519", ed
	} else {
		der, _ = x509.MarshalPKIXPublicKey(public)
	}
	d[k.Selector+"._domainkey."+k.Domain] = "v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(der)
}

func writePEM(t testing.TB, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pkcs8(t testing.TB, private any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "PRIVATE KEY", der)
}

func newRSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func newEd25519(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// fixture is a signer with an RSA and an Ed25519 key for example.com, an RSA key for
// sub.example.com and an Ed25519 key for other.example, and their records.
func fixture(t testing.TB) (*dkim.Signer, dns) {
	t.Helper()
	return fixtureOf(t, "")
}

// fixtureOf is fixture with a canonicalization.
func fixtureOf(t testing.TB, form string) (*dkim.Signer, dns) {
	t.Helper()
	records := make(dns)
	var keys []dkim.Key
	add := func(domain, selector string, private crypto.Signer, path string) {
		k := dkim.Key{Domain: domain, Selector: selector, Path: path, Canonicalization: form}
		keys = append(keys, k)
		records.publish(k, private.Public())
	}
	r, e := newRSA(t, 1024), newEd25519(t)
	add("example.com", "rsa", r, writePEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r)))
	add("example.com", "ed", e, pkcs8(t, e))
	add("sub.example.com", "sub", r, pkcs8(t, r))
	add("other.example", "s1.mail", e, pkcs8(t, e))
	s, err := dkim.New(dkim.Options{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return s, records
}

// verify gives "domain" for each good signature, top first, and "domain: error" for others.
func verify(t testing.TB, records dns, message string) []string {
	t.Helper()
	results, err := msgauth.VerifyWithOptions(strings.NewReader(message), &msgauth.VerifyOptions{LookupTXT: records.lookup})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range results {
		if v.Err != nil {
			got = append(got, v.Domain+": "+v.Err.Error())
			continue
		}
		got = append(got, v.Domain)
	}
	return got
}

// split cuts a message behind its header section.
func split(m string) dkim.Message {
	n := len(m)
	if strings.HasPrefix(m, "\r\n") {
		n = 2
	} else if i := strings.Index(m, "\r\n\r\n"); i >= 0 {
		n = i + 4
	}
	return dkim.Message{Header: []byte(m[:n]), Body: strings.NewReader(m[n:])}
}

// lines joins lines with CRLF.
func lines(text ...string) string { return strings.Join(text, "\r\n") }

func message(from, rest string) string {
	return lines("From: "+from, "To: u@dest.example", "Subject: test", "") + rest
}

func TestKeySelection(t *testing.T) {
	t.Parallel()
	s, records := fixture(t)
	tests := []struct{ from, want, err string }{
		{"a@example.com", "example.com example.com", ""},
		{"A <a@EXAMPLE.com>", "example.com example.com", ""},
		{"a@sub.example.com", "sub.example.com", ""},
		{"a@deep.sub.example.com", "sub.example.com", ""},
		{"a@deep.example.com", "example.com example.com", ""},
		{"a@notexample.com", "", ""},
		{"a@com", "", ""},
		{"a@other.example, b@Other.Example", "other.example", ""},
		{"a@nokey.example, b@nokey2.example", "", ""},
		{"a@nokey.example, b@example.com", "", "several domains"},
		{"a@example.com, b@other.example", "", "several domains"},
		{"a@example.com\r\nFrom: b@example.com", "", "2 From fields"},
		{"undisclosed:;", "", "no address"},
		{"", "", "from"},
		{"not an address", "", "from"},
		{`"b@other.example" <a@example.com>`, "example.com example.com", ""},
		{"a@example.com (b@other.example)", "example.com example.com", ""},
		{`"a@other.example"@example.com`, "example.com example.com", ""},
		{"=?big99?q?x?= <a@example.com>", "example.com example.com", ""},
		{"=?utf-8?B??= <a@example.com>", "example.com example.com", ""},
		{"J\xf6rg <a@example.com>", "example.com example.com", ""},
		{"A\r\n\t<a@example.com>", "example.com example.com", ""},
		{"a@example.com\r\nfrom : b@example.com", "", "2 From fields"},
	}
	for _, test := range tests {
		t.Run(test.from, func(t *testing.T) {
			t.Parallel()
			m := message(test.from, "\r\nbody\r\n")
			fields, err := s.Sign(context.Background(), split(m))
			if test.err != "" {
				if !errors.Is(err, dkim.ErrHeader) || !strings.Contains(err.Error(), test.err) || fields != nil {
					t.Fatalf("got %q, error %v, want one about %q", fields, err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(verify(t, records, string(fields)+m), " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func oddMessages() map[string]string {
	const from = "a@example.com"
	return map[string]string{
		"plain":              message(from, "\r\nHello.\r\n"),
		"empty body":         message(from, "\r\n"),
		"body of one line":   message(from, "\r\nno line end"),
		"blank lines":        message(from, "\r\n\r\n\r\nx\r\n\r\n\r\n\r\n"),
		"only blank lines":   message(from, "\r\n\r\n\r\n\r\n"),
		"dots":               message(from, "\r\n.\r\n..\r\n.x\r\n"),
		"white space":        message(from, "\r\n a \t b  \r\n\t\r\n  \r\n"),
		"8 bit":              message(from+"\r\nX-Latin: \xe4\xf6", "\r\n\xe4\xf6\xfc \xc3\xa4\r\n"),
		"long line":          message(from, "\r\n"+strings.Repeat("x", 200_000)+"\r\n"),
		"large":              message(from, "\r\n"+strings.Repeat("line of text \r\n", 20_000)),
		"folded":             lines("from:", " A B", "\t<"+from+">", "SUBJECT:a", " b", "  c", "", "x", ""),
		"obsolete space":     lines("From: "+from, "Subject : a", "", "x", ""),
		"repeated fields":    lines("From: "+from, "Subject: 1", "Subject: 2", "To: a@b.example", "To: c@d.example", "", "x", ""),
		"empty fields":       lines("From: "+from, "Subject:", "X:", " ", "To: ", "", "x", ""),
		"long field":         message(from+"\r\nReferences: "+strings.Repeat("<x@y.example> ", 5000), "\r\nx\r\n"),
		"signed before":      lines("DKIM-Signature: v=1; a=rsa-sha256; d=old.example; s=x; h=from; bh=eA==; b=eA==", "From: "+from, "", "x", ""),
		"only From":          lines("From: "+from, "", ""),
		"blank for long":     message(from, "\r\n"+strings.Repeat("\r\n \r\n", 1<<16)+"x\r\n"),
		"blank within chunk": message(from, "\r\n"+strings.Repeat("\r\n", 100_000)+"x\r\n"),
	}
}

func TestOddMessages(t *testing.T) {
	t.Parallel()
	s, records := fixture(t)
	for name, m := range oddMessages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// However the reader hands it out.
			for _, cut := range []func(io.Reader) io.Reader{same, iotest.DataErrReader, iotest.HalfReader, iotest.OneByteReader} {
				parts := split(m)
				parts.Body = cut(parts.Body)
				fields, err := s.Sign(context.Background(), parts)
				if err != nil {
					t.Fatal(err)
				}
				for line := range strings.SplitSeq(string(fields), "\r\n") {
					if len(line) > 998 {
						t.Errorf("a line of %d bytes: %.80s", len(line), line)
					}
				}
				if got := strings.Join(verify(t, records, string(fields)+m)[:2], " "); got != "example.com example.com" {
					t.Errorf("got %q", got)
				}
			}
		})
	}
}

func same(r io.Reader) io.Reader { return r }

// Whatever is changed or added where a reader would see it breaks both signatures.
func TestTampering(t *testing.T) {
	t.Parallel()
	s, records := fixture(t)
	m := lines("From: a@example.com", "To: u@dest.example", "Content-Type: text/plain", "", "Pay 100 to Ann.", "")
	fields, err := s.Sign(context.Background(), split(m))
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]string{
		"body":            strings.Replace(m, "100", "900", 1),
		"added to body":   m + "P.S.\r\n",
		"To":              strings.Replace(m, "u@dest", "v@dest", 1),
		"second From":     "From: b@evil.example\r\n" + m,
		"second To":       "To: b@evil.example\r\n" + m,
		"Subject added":   "Subject: urgent\r\n" + m,
		"Reply-To added":  "Reply-To: b@evil.example\r\n" + m,
		"second type":     "Content-Type: text/html\r\n" + m,
		"From is another": strings.Replace(m, "a@example.com", "b@example.com", 1),
	}
	for name, changed := range changes {
		for _, got := range verify(t, records, string(fields)+changed) {
			if !strings.Contains(got, ": ") {
				t.Errorf("%s: the signature still verifies", name)
			}
		}
	}
	// What relays and providers do on the way does not.
	for name, changed := range map[string]string{
		"Received added":    "Received: from a by b\r\n" + m,
		"Message-ID added":  "Message-ID: <x@provider.example>\r\n" + m,
		"Date added":        "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n" + m,
		"blank lines added": m + "\r\n\r\n",
		"spaces folded":     strings.Replace(m, "To: u", "To:\r\n   u", 1),
	} {
		if got := strings.Join(verify(t, records, string(fields)+changed), " "); got != "example.com example.com" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestNotSigned(t *testing.T) {
	t.Parallel()
	s, _ := fixture(t)
	tests := []struct {
		name, message string
		want          error
		text          string
	}{
		{"empty", "", dkim.ErrHeader, "no empty line"},
		{"no blank line", "From: a@example.com\r\nSubject: x\r\n", dkim.ErrHeader, "no empty line"},
		{"no header", "\r\nFrom: a@example.com\r\n", dkim.ErrHeader, "0 From fields"},
		{"begins with a continuation", " x\r\nFrom: a@example.com\r\n\r\n", dkim.ErrHeader, "continuation"},
		{"no colon", "From: a@example.com\r\nhello\r\n\r\n", dkim.ErrHeader, `"hello" is not a field`},
		{"no name", ": x\r\nFrom: a@example.com\r\n\r\n", dkim.ErrHeader, "is not a field"},
		{"space in the name", "X Y: x\r\nFrom: a@example.com\r\n\r\n", dkim.ErrHeader, "is not a field"},
		{"endless header", "From: a@example.com\r\n" + strings.Repeat("X: y\r\n", 200_000), dkim.ErrHeader, "longer than"},
		{"endless line", "From: a@example.com\r\nX: " + strings.Repeat("y", 2<<20), dkim.ErrHeader, "longer than"},
		{"fields without number", "From: a@example.com\r\n" + strings.Repeat("To: y@z.example\r\n", 1000) + "\r\n", dkim.ErrHeader, "too many fields"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fields, err := s.Sign(context.Background(), split(test.message))
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || fields != nil {
				t.Errorf("got %q, error %v", fields, err)
			}
		})
	}
}

// TestNoKeys reads nothing at all.
func TestNoKeys(t *testing.T) {
	t.Parallel()
	s, err := dkim.New(dkim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fields, err := s.Sign(context.Background(), dkim.Message{Header: []byte("x"), Body: iotest.ErrReader(io.ErrUnexpectedEOF)})
	if fields != nil || err != nil {
		t.Errorf("got %q, %v", fields, err)
	}
}

// TestBrokenReader sees that an end in the middle leaves no goroutine and no signature.
func TestBrokenReader(t *testing.T) {
	t.Parallel()
	s, _ := fixture(t)
	broken := errors.New("disk on fire")
	m := message("a@example.com", "\r\n"+strings.Repeat("text\r\n", 50_000))
	for _, n := range []int64{0, 10, 150_000, int64(len(m))} {
		synctest.Test(t, func(t *testing.T) {
			parts := split(m)
			parts.Body = io.MultiReader(io.LimitReader(parts.Body, n), iotest.ErrReader(broken))
			fields, err := s.Sign(t.Context(), parts)
			if !errors.Is(err, broken) || fields != nil {
				t.Errorf("after %d bytes: got %q, %v", n, fields, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Sign(ctx, split(m)); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: got %v", err)
		}
	})
}

func TestKeyFaults(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := pkcs8(t, newEd25519(t))
	public, err := x509.MarshalPKIXPublicKey(ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		key  dkim.Key
		want string
	}{
		{"missing", dkim.Key{Domain: "example.com", Selector: "s", Path: "/nowhere/key.pem"}, "dkim[1].key: stat /nowhere/key.pem: no such file"},
		{"directory", dkim.Key{Domain: "example.com", Selector: "s", Path: filepath.Dir(garbage)}, "not a key file"},
		{"no PEM", dkim.Key{Domain: "example.com", Selector: "s", Path: garbage}, garbage + ": no PEM block"},
		{"weak", dkim.Key{Domain: "example.com", Selector: "s", Path: "testdata/rsa512.pem"}, "testdata/rsa512.pem: an RSA key of 512 bits is too weak: verifiers ignore those below 1024, use 2048"},
		{"ECDSA", dkim.Key{Domain: "example.com", Selector: "s", Path: pkcs8(t, ec)}, "a key of RSA or Ed25519 is needed, not *ecdsa"},
		{"public", dkim.Key{Domain: "example.com", Selector: "s", Path: writePEM(t, "PUBLIC KEY", public)}, `not "PUBLIC KEY"`},
		{"encrypted", dkim.Key{Domain: "example.com", Selector: "s", Path: writePEM(t, "ENCRYPTED PRIVATE KEY", nil)}, "the key is encrypted"},
		{"corrupt", dkim.Key{Domain: "example.com", Selector: "s", Path: writePEM(t, "PRIVATE KEY", []byte("x"))}, "dkim[1].key"},
		{"no domain", dkim.Key{Selector: "s", Path: good}, `dkim[1].domain: "" is not a domain name`},
		{"injection", dkim.Key{Domain: "example.com; l=0", Selector: "s", Path: good}, "dkim[1].domain"},
		{"no selector", dkim.Key{Domain: "example.com", Path: good}, `dkim[1].selector: "" is not a selector`},
		{"twice", dkim.Key{Domain: "EXAMPLE.org", Selector: "S", Path: good}, `dkim[1].selector: example.org has the selector "s" twice`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := dkim.New(dkim.Options{Keys: []dkim.Key{{Domain: "example.org", Selector: "s", Path: good}, test.key}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
	_, err = dkim.New(dkim.Options{Keys: []dkim.Key{{}, {}, {Domain: "a.example", Selector: "s", Path: good}}})
	if got := strings.Count(fmt.Sprint(err), "dkim["); got != 4 {
		t.Errorf("%d faults at once, want 4: %v", got, err)
	}
}

// TestMemory signs a message far larger than what may be held of it.
func TestMemory(t *testing.T) {
	s, _ := fixture(t)
	body := io.LimitReader(repeat("a line of text, and not a short one\r\n"), 24<<20)
	var peak, reads uint64
	watch := readerFunc(func(p []byte) (int, error) {
		if reads++; reads%100 == 0 { // reading the figures stops the world
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
		return body.Read(p)
	})
	if _, err := s.Sign(context.Background(), dkim.Message{Header: []byte(message("a@example.com", "\r\n")), Body: watch}); err != nil {
		t.Fatal(err)
	}
	if peak > 16<<20 {
		t.Errorf("the heap grew to %d MiB", peak>>20)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type repeat string

func (r repeat) Read(p []byte) (int, error) {
	n := 0
	for n+len(r) <= len(p) {
		n += copy(p[n:], r)
	}
	if n == 0 {
		n = copy(p, r)
	}
	return n, nil
}

// BenchmarkSign signs with one key of each kind, and with both: the body is hashed once.
func BenchmarkSign(b *testing.B) {
	rsaKey, edKey := pkcs8(b, newRSA(b, 2048)), pkcs8(b, newEd25519(b))
	s, err := dkim.New(dkim.Options{Keys: []dkim.Key{
		{Domain: "rsa.example", Selector: "r", Path: rsaKey}, {Domain: "ed25519.example", Selector: "e", Path: edKey},
		{Domain: "both.example", Selector: "r", Path: rsaKey}, {Domain: "both.example", Selector: "e", Path: edKey},
	}})
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{4 << 10, 1 << 20} {
		for _, domain := range []string{"none", "ed25519", "rsa", "both"} {
			parts := split(message("a@"+domain+".example", "\r\n"+strings.Repeat("a line of text, and not a short one\r\n", size/37)))
			body := parts.Body.(io.ReadSeeker)
			b.Run(fmt.Sprintf("%d/%s", size, domain), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, err := body.Seek(0, io.SeekStart); err != nil {
						b.Fatal(err)
					}
					if _, err := s.Sign(context.Background(), parts); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func FuzzSign(f *testing.F) {
	s, records := fixture(f)
	for _, m := range oddMessages() {
		if len(m) < 4096 {
			f.Add(m)
		}
	}
	f.Fuzz(func(t *testing.T, m string) {
		fields, err := s.Sign(context.Background(), split(m))
		if err != nil || len(fields) == 0 {
			return
		}
		if strings.ContainsAny(strings.ReplaceAll(m, "\r\n", ""), "\r\n") {
			return // bare line ends do not reach a signer
		}
		for _, got := range verify(t, records, string(fields)+m)[:1] {
			if strings.Contains(got, ": ") {
				t.Errorf("signed, but: %s", got)
			}
		}
	})
}
