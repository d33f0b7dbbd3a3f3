package dkim_test

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"postrider/dkim"
)

func TestRecordForms(t *testing.T) {
	t.Parallel()
	r := dkim.NewRecord("shop.example", "s1", newRSA(t, 2048))
	if r.Name != "s1._domainkey.shop.example" || !strings.HasPrefix(r.Text, "v=DKIM1; k=rsa; p=MII") {
		t.Errorf("got %+v", r)
	}
	parts := r.Strings()
	if len(parts) != 2 || len(parts[0]) != 255 || parts[0]+parts[1] != r.Text {
		t.Errorf("strings %q", parts)
	}
	zone := r.Zone()
	if !strings.HasPrefix(zone, "s1._domainkey.shop.example.\tIN\tTXT\t( \"v=DKIM1") || strings.Count(zone, `"`) != 4 || !strings.HasSuffix(zone, `" )`) {
		t.Errorf("zone %s", zone)
	}
	if e := dkim.NewRecord("shop.example", "s1", newEd25519(t)); len(e.Strings()) != 1 || !strings.Contains(e.Text, "k=ed25519; p=") {
		t.Errorf("got %+v", e)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	private := newRSA(t, 1024)
	r := dkim.NewRecord("shop.example", "s1", private)
	key := strings.TrimPrefix(r.Text, "v=DKIM1; k=rsa; p=")
	other := dkim.NewRecord("shop.example", "s1", newRSA(t, 1024)).Text
	ed := dkim.NewRecord("shop.example", "s1", newEd25519(t)).Text
	pkcs1 := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(private.Public().(*rsa.PublicKey)))
	for name, test := range map[string]struct {
		texts []string
		want  dkim.Publication
		fault string
	}{
		"as it is":       {[]string{r.Text}, dkim.Published, ""},
		"without kind":   {[]string{"p=" + key}, dkim.Published, ""},
		"spaced":         {[]string{" v = DKIM1 ;\tk=rsa; t=s; s=email; h=sha1:sha256; n=note; p=" + key[:40] + " \t" + key[40:] + "; "}, dkim.Published, ""},
		"PKCS #1":        {[]string{"v=DKIM1; p=" + pkcs1}, dkim.Published, ""},
		"other key":      {[]string{other}, dkim.Different, "another key"},
		"other kind":     {[]string{ed}, dkim.Different, `of kind "ed25519"`},
		"cut off":        {[]string{r.Text[:100]}, dkim.Different, "another key"},
		"revoked":        {[]string{"v=DKIM1; p="}, dkim.Different, "revoked"},
		"two":            {[]string{r.Text, other}, dkim.Different, "2 TXT records"},
		"not first":      {[]string{"k=rsa; v=DKIM1; p=" + key}, dkim.Different, "does not begin"},
		"SHA-1 only":     {[]string{r.Text + "; h=sha1"}, dkim.Different, "sha256"},
		"not for mail":   {[]string{r.Text + "; s=tlsrpt"}, dkim.Different, "not for mail"},
		"test":           {[]string{r.Text + "; t=s:y"}, dkim.Different, "only a test"},
		"something else": {[]string{"hello"}, dkim.Different, "not a tag"},
		"twice":          {[]string{r.Text + "; p=x"}, dkim.Different, "twice"},
		"none":           {nil, dkim.Missing, "no TXT record"},
	} {
		dns := published{r.Name: test.texts}
		got, err := r.Check(context.Background(), dns.lookup)
		if got != test.want || (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if got, err := r.Check(context.Background(), published{}.lookup); got != dkim.Missing || err == nil {
		t.Errorf("no such name: %s, %v", got, err)
	}
	silent := func(context.Context, string) ([]string, error) { return nil, errors.New("timeout") }
	if got, err := r.Check(context.Background(), silent); got != dkim.Unknown || err == nil {
		t.Errorf("silence: %s, %v", got, err)
	}
}

func FuzzCheck(f *testing.F) {
	r := dkim.NewRecord("shop.example", "s1", newEd25519(f))
	f.Add(r.Text)
	f.Add("v=DKIM1; h=sha1; p=")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := r.Check(context.Background(), published{r.Name: {text}}.lookup)
		if (got == dkim.Published) != (err == nil) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	})
}
