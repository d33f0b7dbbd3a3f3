package verify_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"postrider/inbound/verify"
	"postrider/relay"
)

// zone is DNS: TXT records by absolute name. The names in sick do not answer.
type zone struct {
	txt   map[string]string
	sick  map[string]bool
	asked atomic.Int32
	// silent never answers at all.
	silent bool
}

func (z *zone) LookupTXT(ctx context.Context, name string) ([]string, error) {
	z.asked.Add(1)
	switch text, ok := z.txt[name]; {
	case z.silent:
		<-ctx.Done()
		return nil, &net.DNSError{Err: ctx.Err().Error(), Name: name, IsTimeout: true}
	case z.sick[name]:
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	case ok:
		return []string{text}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z *zone) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	z.asked.Add(1)
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z *zone) LookupIPAddr(_ context.Context, name string) ([]net.IPAddr, error) {
	z.asked.Add(1)
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z *zone) LookupAddr(_ context.Context, name string) ([]string, error) {
	z.asked.Add(1)
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// key signs for the domain with the selector "s1"; everybody has the same one.
func key() crypto.Signer { return ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32))) }

func newZone() *zone {
	public := base64.StdEncoding.EncodeToString(key().Public().(ed25519.PublicKey))
	record := "v=DKIM1; k=ed25519; p=" + public
	return &zone{sick: map[string]bool{}, txt: map[string]string{
		"example.com.":                   "v=spf1 ip4:192.0.2.0/24 -all",
		"soft.example.":                  "v=spf1 ~all",
		"broken.example.":                "v=spf1 nonsense",
		"client.example.net.":            "v=spf1 ip4:192.0.2.9 -all",
		"_dmarc.example.com.":            "v=DMARC1; p=reject; sp=quarantine",
		"_dmarc.strict.example.":         "v=DMARC1; p=none; adkim=s; aspf=s",
		"s1._domainkey.example.com.":     record,
		"s1._domainkey.strict.example.":  record,
		"s1._domainkey.m.strict.example": record,
		"s1._domainkey.other.example.":   record,
	}}
}

// signed signs a message for a domain.
func signed(t testing.TB, domain, message string, form dkim.Canonicalization) string {
	t.Helper()
	var out strings.Builder
	err := dkim.Sign(&out, strings.NewReader(message), &dkim.SignOptions{
		Domain: domain, Selector: "s1", Signer: key(), HeaderCanonicalization: form, BodyCanonicalization: form, HeaderKeys: []string{"From", "Subject"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func text(from string) string {
	return "From: Ann <" + from + ">\r\nSubject: test\r\n\r\nHello  there.\r\n\r\n"
}

// incoming is a message of a client as the receiver has it.
func incoming(sender, content string) (*relay.Message, io.Reader) {
	address, _ := relay.ParseAddress(sender)
	header, body, _ := strings.Cut(content, "\r\n\r\n")
	return &relay.Message{
		Envelope: relay.Envelope{Sender: address}, Header: []byte(header + "\r\n\r\n"),
		Origin: relay.Origin{Client: netip.MustParseAddr("192.0.2.9"), Greeting: "client.example.net"},
	}, strings.NewReader(body)
}

func newVerifier(t testing.TB, z *zone, methods ...string) *verify.Verifier {
	t.Helper()
	v, err := verify.New(verify.Options{Hostname: "relay.example.org", Methods: methods, Resolver: z})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	t.Parallel()
	ours := signed(t, "example.com", text("a@example.com"), dkim.CanonicalizationRelaxed)
	theirs := signed(t, "other.example", text("a@example.com"), dkim.CanonicalizationSimple)
	from := func(value string) string { return "From: " + value + "\r\n\r\nbody\r\n" }
	forged := relay.Verified{SPF: "softfail", DKIM: "none", DMARC: "fail", DMARCPolicy: "reject"}
	for _, test := range []struct {
		name, sender, content string
		want                  relay.Verified
	}{
		{"all pass", "a@example.com", ours, relay.Verified{SPF: "pass", DKIM: "pass", DMARC: "pass", DMARCPolicy: "reject"}},
		{"signature of another", "a@soft.example", theirs, relay.Verified{SPF: "softfail", DKIM: "pass", DMARC: "fail", DMARCPolicy: "reject"}},
		{"changed", "a@soft.example", strings.Replace(ours, "Hello", "Hallo", 1), relay.Verified{SPF: "softfail", DKIM: "fail", DMARC: "fail", DMARCPolicy: "reject"}},
		{"SPF alone", "a@example.com", text("a@example.com"), relay.Verified{SPF: "pass", DKIM: "none", DMARC: "pass", DMARCPolicy: "reject"}},
		{"one of two", "a@soft.example", theirs[:strings.Index(theirs, "\nFrom:")+1] + ours, relay.Verified{SPF: "softfail", DKIM: "pass", DMARC: "pass", DMARCPolicy: "reject"}},
		{"null sender", "", ours, relay.Verified{SPF: "pass", DKIM: "pass", DMARC: "pass", DMARCPolicy: "reject"}},
		{"below", "a@mail.example.com", text("a@mail.example.com"), relay.Verified{SPF: "none", DKIM: "none", DMARC: "fail", DMARCPolicy: "quarantine"}},
		{"no policy", "a@soft.example", text("a@soft.example"), relay.Verified{SPF: "softfail", DKIM: "none", DMARC: "none"}},
		{"broken SPF", "a@broken.example", text("a@broken.example"), relay.Verified{SPF: "permerror", DKIM: "none", DMARC: "none"}},
		{"strict", "a@soft.example", signed(t, "strict.example", text("a@m.strict.example"), dkim.CanonicalizationSimple), relay.Verified{SPF: "softfail", DKIM: "pass", DMARC: "fail", DMARCPolicy: "none"}},
		{"strictly so", "a@soft.example", signed(t, "strict.example", text("a@strict.example"), dkim.CanonicalizationSimple), relay.Verified{SPF: "softfail", DKIM: "pass", DMARC: "pass", DMARCPolicy: "none"}},
		{"two authors", "a@example.com", "From: a@example.com\r\n" + ours, relay.Verified{SPF: "pass", DKIM: "pass", DMARC: "permerror"}},
		{"no author", "a@example.com", "Subject: x\r\n\r\nbody\r\n", relay.Verified{SPF: "pass", DKIM: "none", DMARC: "permerror"}},
		{"author in any charset", "a@soft.example", from("=?gb2312?B?1dU=?= <ceo@example.com>"), forged},
		{"author in no charset", "a@soft.example", from("=?utf-8?B??= <ceo@example.com>"), forged},
		{"author in raw bytes", "a@soft.example", from("\"\xd5\xd5\\\"\" <ceo@example.com> (\xd5)"), forged},
		{"local part in raw bytes", "a@soft.example", from("\xd5@example.com"), forged},
		{"domain in raw bytes", "a@soft.example", from("ceo@\xd5.example.com"), relay.Verified{SPF: "softfail", DKIM: "none", DMARC: "fail", DMARCPolicy: "quarantine"}},
		{"author behind a name", "a@soft.example", from("=?gb2312?Q?a=40soft.example=3E=2C?= <ceo@example.com>"), forged},
		{"author in quotes", "a@soft.example", from("\"\xd5 <a@soft.example>\" <ceo@example.com>"), forged},
		{"author in a group", "a@soft.example", from("=?gb2312?B?1dU=?=: \xd5 <ceo@example.com>;"), forged},
		{"two authors of a charset", "a@soft.example", from("=?gb2312?B?1dU=?= <a@soft.example>, \xd5 <ceo@example.com>"), relay.Verified{SPF: "softfail", DKIM: "none", DMARC: "permerror"}},
		{"no key", "a@example.com", strings.Replace(ours, "s=s1", "s=s2", 1), relay.Verified{SPF: "pass", DKIM: "permerror", DMARC: "pass", DMARCPolicy: "reject"}},
		{"nonsense", "a@soft.example", "DKIM-Signature: hello\r\n" + text("a@soft.example"), relay.Verified{SPF: "softfail", DKIM: "permerror", DMARC: "none"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, body := incoming(test.sender, test.content)
			before := string(m.Header)
			got, header := newVerifier(t, newZone(), verify.DMARC).Verify(t.Context(), m, body)
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v\n%s", got, test.want, header)
			}
			if rest, ok := strings.CutPrefix(string(header), "Authentication-Results: relay.example.org;\r\n\tspf="+got.SPF); !ok || !strings.HasSuffix(rest, "\r\n"+before) {
				t.Errorf("stamped %s", header)
			}
		})
	}
}

// The stamp in full, and nothing in it that others could break out with.
func TestStamp(t *testing.T) {
	t.Parallel()
	m, body := incoming("a@example.com", signed(t, "example.com", text("a@example.com"), dkim.CanonicalizationRelaxed))
	_, header := newVerifier(t, newZone(), verify.Methods()...).Verify(t.Context(), m, body)
	stamp, _, _ := strings.Cut(string(header), "DKIM-Signature")
	_, b, _ := strings.Cut(string(header), "b=\"")
	b, _, _ = strings.Cut(b, `"`)
	want := "Authentication-Results: relay.example.org;\r\n\tspf=pass smtp.mailfrom=example.com;\r\n" +
		"\tdkim=pass header.d=example.com header.s=s1 header.a=ed25519-sha256 header.b=\"" + b + "\";\r\n" +
		"\tdmarc=pass (p=reject) header.from=example.com\r\n"
	if stamp != want || len(b) != 8 {
		t.Errorf("got  %q\nwant %q", stamp, want)
	}
	evil := "DKIM-Signature: v=1; a=x\r\n\t; d=a.example;dmarc=pass header.from=b(; s=\"; spf=pass; b=\"\"\"\"; bh=\r\n" + text("a@soft.example")
	m, body = incoming("a@soft.example", evil)
	_, header = newVerifier(t, newZone(), verify.DKIM).Verify(t.Context(), m, body)
	stamp, _, _ = strings.Cut(string(header), "DKIM-Signature")
	if strings.Count(stamp, ";") != 1 || strings.Count(stamp, "\r\n") != 2 || strings.Contains(stamp, "spf=pass") || strings.Contains(stamp, "dmarc=pass ") {
		t.Errorf("got %q", stamp)
	}
}

// What claims to be ours goes, what others found stays (RFC 8601 section 5).
func TestForged(t *testing.T) {
	t.Parallel()
	for field, stays := range map[string]bool{
		"Authentication-Results: relay.example.org; spf=pass":                      false,
		"authentication-results : RELAY.example.org. 1; spf=pass":                  false,
		"Authentication-Results:\r\n (a (nested) comment)\r\n\trelay.example.org;": false,
		"Authentication-Results: \"relay.example.org\"; dkim=pass":                 false,
		"Authentication-Results: relay.example.org(x); dkim=pass":                  false,
		"Authentication-Results: relay.example.org":                                false,
		"Authentication-Results: (unclosed relay.example.org; dkim=pass":           false,
		"Authentication-Results: \"relay\\.example.org\"; dkim=pass":               false,
		"Authentication-Results: ; dkim=pass":                                      false,
		"Authentication-Results: mx.example.com; spf=pass":                         true,
		"Authentication-Results: mail.relay.example.org; spf=pass":                 true,
		"Authentication-Results: mx.example.com; x=relay.example.org":              true,
		"X-Authentication-Results: relay.example.org; spf=pass":                    true,
	} {
		m, body := incoming("a@soft.example", "Received: a\r\n"+field+"\r\nFrom: a@soft.example\r\n\r\nbody\r\n")
		_, header := newVerifier(t, newZone(), verify.SPF).Verify(t.Context(), m, body)
		_, rest, _ := strings.Cut(string(header), "Received: a\r\n")
		want := "From: a@soft.example\r\n\r\n"
		if stays {
			want = field + "\r\n" + want
		}
		if rest != want {
			t.Errorf("%q: left %q", field, rest)
		}
	}
}

// DNS that does not answer is a result, and costs bounded time.
func TestSilence(t *testing.T) {
	t.Parallel()
	content := signed(t, "example.com", text("a@example.com"), dkim.CanonicalizationRelaxed)
	want := relay.Verified{SPF: "temperror", DKIM: "temperror", DMARC: "temperror"}
	synctest.Test(t, func(t *testing.T) {
		z := newZone()
		z.silent = true
		m, body := incoming("a@example.com", content)
		began := time.Now()
		got, header := newVerifier(t, z, verify.DMARC).Verify(t.Context(), m, body)
		if got != want || !strings.HasSuffix(string(header), string(m.Header)) {
			t.Errorf("got %+v", got)
		}
		if took := time.Since(began); took > verify.DefaultTimeout {
			t.Errorf("took %s", took)
		}
	})
	z := newZone()
	z.sick = map[string]bool{"example.com.": true, "s1._domainkey.example.com.": true}
	m, body := incoming("a@example.com", content)
	want.DMARCPolicy = "reject"
	if got, _ := newVerifier(t, z, verify.DMARC).Verify(t.Context(), m, body); got != want {
		t.Errorf("sick: got %+v", got)
	}
	delete(z.sick, "example.com.")
	m, body = incoming("a@example.com", content)
	if got, _ := newVerifier(t, z, verify.DMARC).Verify(t.Context(), m, body); got != (relay.Verified{SPF: "pass", DKIM: "temperror", DMARC: "pass", DMARCPolicy: "reject"}) {
		t.Errorf("half sick: got %+v", got)
	}
}

// A message cannot make us ask more than it may.
func TestLookupsAreBounded(t *testing.T) {
	t.Parallel()
	z := newZone()
	z.txt["deep0.example."] = "v=spf1 -all"
	for i := range 30 {
		z.txt[fmt.Sprintf("deep%d.example.", i+1)] = fmt.Sprintf("v=spf1 include:deep%d.example -all", i)
	}
	one := signed(t, "example.com", text("a@deep30.example"), dkim.CanonicalizationRelaxed)
	signature := one[:strings.Index(one, "\nFrom:")+1]
	m, body := incoming("a@deep30.example", strings.Repeat(signature, 50)+text("a@deep30.example"))
	got, header := newVerifier(t, z, verify.DMARC).Verify(t.Context(), m, body)
	if got.SPF != "permerror" || got.DKIM != "pass" || strings.Count(string(header), "\tdkim=") != verify.DefaultSignatures {
		t.Errorf("got %+v, %s", got, header)
	}
	if n := z.asked.Load(); n > verify.DefaultLookups {
		t.Errorf("%d questions", n)
	}
}

// A body that takes the library time by its square is given up soon, a large one is not.
func TestBlankLines(t *testing.T) {
	t.Parallel()
	few := "From: a@example.com\r\nSubject: x\r\n\r\n" + strings.Repeat(strings.Repeat("\r\n", 1000)+"x\r\n", 100)
	many := "From: a@example.com\r\nSubject: x\r\n\r\n" + strings.Repeat("\r\n", 1<<20)
	content := signed(t, "example.com", few, dkim.CanonicalizationSimple)
	m, body := incoming("a@example.com", content)
	if got, _ := newVerifier(t, newZone(), verify.DKIM).Verify(t.Context(), m, body); got.DKIM != "pass" {
		t.Errorf("few: got %+v", got)
	}
	m, body = incoming("a@example.com", content[:strings.Index(content, "\nFrom:")+1]+many)
	began := time.Now()
	if got, _ := newVerifier(t, newZone(), verify.DKIM).Verify(t.Context(), m, body); got.DKIM != "neutral" {
		t.Errorf("many: got %+v", got)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

// What would take the library time by the product of names and fields is not looked at.
func TestManyNames(t *testing.T) {
	t.Parallel()
	content := signed(t, "example.com", text("a@example.com"), dkim.CanonicalizationRelaxed)
	content = strings.Replace(content, "h=From", "h="+strings.Repeat("a:", 50_000)+"From", 1)
	m, body := incoming("a@example.com", content[:strings.Index(content, "Subject:")]+strings.Repeat("a:\r\n", 30_000)+text("a@example.com"))
	began := time.Now()
	got, header := newVerifier(t, newZone(), verify.DKIM).Verify(t.Context(), m, body)
	if got.DKIM != "permerror" || !strings.Contains(string(header), "dkim=permerror (too many signed fields)") {
		t.Errorf("got %+v", got)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

// White space of every kind in large bodies takes time by its length.
func TestWhiteSpace(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{" ", "\t", " \r\n", "x \r\n", "\r", "\r\r\n"} {
		for _, form := range []dkim.Canonicalization{dkim.CanonicalizationRelaxed, dkim.CanonicalizationSimple} {
			content := signed(t, "example.com", "From: a@example.com\r\nSubject: x\r\n\r\nx", form)
			m, _ := incoming("a@example.com", content)
			began := time.Now()
			got, _ := newVerifier(t, newZone(), verify.DKIM).Verify(t.Context(), m, strings.NewReader(strings.Repeat(odd, 2<<20/len(odd))))
			if got.DKIM == "pass" {
				t.Errorf("%q: got %+v", odd, got)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("%q, %s: took %s", odd, form, took)
			}
		}
	}
}

// A body that cannot be read is not a forged one.
func TestUnreadableBody(t *testing.T) {
	t.Parallel()
	m, _ := incoming("a@example.com", signed(t, "example.com", text("a@example.com"), dkim.CanonicalizationRelaxed))
	synctest.Test(t, func(t *testing.T) { // which sees that no goroutine stays
		got, _ := newVerifier(t, newZone(), verify.DKIM).Verify(t.Context(), m, io.MultiReader(strings.NewReader("Hello"), broken{}))
		if got.DKIM != "temperror" {
			t.Errorf("got %+v", got)
		}
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []verify.Options{{}, {Hostname: "a.example", Resolver: newZone()}, {Hostname: "a.example", Resolver: newZone(), Methods: []string{"arc"}}} {
		if _, err := verify.New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func FuzzVerify(f *testing.F) {
	good := signed(f, "example.com", text("a@example.com"), dkim.CanonicalizationRelaxed)
	f.Add(good)
	f.Add("DKIM-Signature: v=1; d=a; s=b\r\n" + good)
	f.Add("Authentication-Results: (((\r\nAuthentication-Results: relay.example.org\r\n\r\n")
	z := newZone()
	f.Fuzz(func(t *testing.T, content string) {
		m, body := incoming("a@example.com", content)
		got, header := newVerifier(t, z, verify.DMARC).Verify(context.Background(), m, body)
		stamp := string(header[:strings.Index(string(header), "\r\n")])
		if got.SPF != "pass" || got.DKIM == "" || got.DMARC == "" || stamp != "Authentication-Results: relay.example.org;" {
			t.Errorf("got %+v, %s", got, header)
		}
		if len(header) > len(m.Header)+8<<10 {
			t.Errorf("%d bytes were added", len(header)-len(m.Header))
		}
	})
}
