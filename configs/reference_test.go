package configs

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/relay"
)

// reference decodes the reference example.
func reference(t *testing.T) (*file, *report) {
	t.Helper()
	text, err := os.ReadFile("examples/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := new(file)
	env := func(string) (string, bool) { return "x", true }
	d := decoder{report: newReport("reference.yaml", string(text)), secrets: secrets{lookupEnv: env}}
	d.decode(text, f)
	if err := d.err(); err != nil {
		t.Fatal(err)
	}
	return f, d.report
}

// TestReferenceIsComplete finds every key of the model in the reference example.
func TestReferenceIsComplete(t *testing.T) {
	t.Parallel()
	_, r := reference(t)
	var shown []string
	for path := range r.places {
		shown = append(shown, withoutIndices(path))
	}
	for _, path := range keyPaths("", reflect.TypeFor[file]()) {
		if strings.HasPrefix(path, "listen.limits.") || strings.HasPrefix(path, "routes.providers.") {
			continue // they are those of limits, and of routes
		}
		if !slices.Contains(shown, path) {
			t.Errorf("%s is not in examples/reference.yaml", path)
		}
	}
}

func withoutIndices(path string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(path, "[") {
		_, after, indexed := strings.Cut(part, "]")
		if !indexed {
			after = part
		}
		b.WriteString(after)
	}
	return b.String()
}

// keyPaths lists the keys of the model that hold values.
func keyPaths(path string, of reflect.Type) []string {
	if of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[network]() || of == reflect.TypeFor[rate]() || of == reflect.TypeFor[relay.Rate]() {
		return []string{path}
	}
	var paths []string
	for i := range of.NumField() {
		if of.Field(i).Anonymous {
			paths = append(paths, keyPaths(path, of.Field(i).Type)...)
			continue
		}
		name := of.Field(i).Tag.Get("yaml")
		if path != "" {
			name = path + "." + name
		}
		paths = append(paths, keyPaths(name, of.Field(i).Type)...)
	}
	return paths
}

// TestReferenceDefaults holds what the reference example says of defaults to the code.
func TestReferenceDefaults(t *testing.T) {
	t.Parallel()
	f, _ := reference(t)
	want := defaults()
	for name, pair := range map[string][2]any{
		"limits":        {f.Limits, want.Limits},
		"retry":         {f.Retry, want.Retry},
		"delivery":      {f.Delivery, want.Delivery},
		"log":           {f.Log, want.Log},
		"listen[0]":     {f.Listen[0], want.Listen[0]},
		"internet":      {f.Routes[len(f.Routes)-1], want.Routes[0]},
		"dns.trusted":   {f.DNS.Trusted, want.DNS.Trusted},
		"dns.loopback":  {f.DNS.AllowLoopback, want.DNS.AllowLoopback},
		"users.cache":   {f.Users.Cache, want.Users.Cache},
		"ldap":          {ldap{Timeout: f.Users.LDAP.Timeout, Connections: f.Users.LDAP.Connections}, want.Users.LDAP},
		"http":          {callout{Timeout: f.Users.HTTP.Timeout, Connections: f.Users.HTTP.Connections}, want.Users.HTTP},
		"from_header":   {f.Users.FromHeader, want.Users.FromHeader},
		"min_free":      {f.Limits.MinFree, size(256 << 20)},
		"warn_after":    {f.Retry.WarnAfter, duration(4 * time.Hour)},
		"max_age":       {f.Retry.MaxAge, duration(120 * time.Hour)},
		"empty auth":    {f.Routes[len(f.Routes)-1].Auth, credentials{}},
		"plain":         {f.Routes[0].Auth.Plain, false},
		"empty message": {f.Limits.MessageSize, size(50_000_000)},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: the example has %+v, the code %+v", name, pair[0], pair[1])
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	sizes := map[string]size{"0": 0, "4096": 4096, "4096B": 4096, "50MB": 50e6, "50 mb": 50e6, "1GiB": 1 << 30, "1.5kB": 1500, "2KiB": 2048, "1TB": 1e12,
		"": -1, "MB": -1, "-1": -1, "1e3": -1, "5 PB": -1, "99999999999GB": -1, "1.": -1}
	for text, want := range sizes {
		got := size(-1)
		if err := got.UnmarshalText([]byte(text)); (err == nil) != (want >= 0) || got != want {
			t.Errorf("size %q: got %d, %v, want %d", text, got, err, want)
		}
	}
	durations := map[string]time.Duration{"60s": time.Minute, "4h": 4 * time.Hour, "5d": 120 * time.Hour, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute,
		"0": 0, "0s": 0, "": -1, "5": -1, "d": -1, "-1h": -1, "1d-1h": -1, "1w": -1, "99999d": 99999 * 24 * time.Hour, "99999d2540000h": -1, "1h1d": -1}
	for text, want := range durations {
		got := duration(-1)
		if err := got.UnmarshalText([]byte(text)); (err == nil) != (want >= 0) || time.Duration(got) != want {
			t.Errorf("duration %q: got %s, %v, want %s", text, time.Duration(got), err, want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"message_size", "recipients", "hops", "mx", "idle"}
	for word, want := range map[string]string{
		"mesage_size": "message_size", "message-size": "message_size", "messagesize": "message_size", "recipeints": "recipients",
		"hop": "hops", "ilde": "idle", "xyzzy": "", "zzzzzzz": "", "": "mx",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	text, err := os.ReadFile("examples/reference.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, name := range []string{"keys", "values", "references", "expressions", "syntax", "documents"} {
		if text, err = os.ReadFile("testdata/" + name + ".yaml"); err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	o := Overrides{SystemHostname: "host.example", LookupEnv: func(string) (string, bool) { return "", false }}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := load("testdata/fuzz.yaml", text, o)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		faults, _ := err.(Faults)
		for _, fault := range faults {
			if fault.Message == "" || fault.Line > 0 && fault.Column < 1 {
				t.Errorf("a fault without text or place: %+v", fault)
			}
		}
	})
}
