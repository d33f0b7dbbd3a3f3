package integration_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// wall is what a package may import, and why no more.
type wall struct {
	// ours are packages of this module, third are modules of others; "*" is everything.
	ours, third []string
	why         string
}

const module = "postrider"

// walls is the architecture: data flows one way, imports point down only, adapters never
// import each other. The README shows the same table; where a wall stands in the wrong
// place, move it here and there.
func walls() map[string]wall {
	adapters := []string{"relay", "relay/transcript", "relay/suppression", "relay/admin", "relay/feed", "dkim", "policy", "spool", "inbound", "inbound/auth", "inbound/delegation", "inbound/hook", "inbound/milter", "inbound/verify", "outbound", "outbound/tlsrpt"}
	return map[string]wall{
		"relay": {nil, nil,
			"the ground floor tells the story with the standard library alone, so that it can be read and tested without knowing any other thing"},
		"relay/relaytest": {[]string{"relay"}, nil,
			"fakes and conformance suites stand beside the ports; an adapter in here would test itself"},
		"relay/feed": {[]string{"relay"}, nil,
			"programs elsewhere are told what operators see, whatever that is"},
		"relay/admin/web": {nil, nil,
			"pages know nothing that the API does not tell them"},
		"relay/suppression": {[]string{"relay"}, nil,
			"it is fed by facts and asked over ports, whoever does so"},
		"relay/transcript": {[]string{"relay"}, nil,
			"sessions tell it what is said over a port, and it knows nothing of how they do"},
		"relay/admin": {[]string{"relay", "relay/admin/web", "relay/suppression", "relay/transcript"}, []string{"github.com/prometheus/client_golang"},
			"operators are served over the ports, whatever is behind them"},
		"dkim": {nil, nil,
			"signing is a function from bytes to bytes, and the program fits it to relay.Signer"},
		"policy": {[]string{"relay"}, []string{"github.com/expr-lang/expr", "golang.org/x/net"},
			"rules see the nouns and nothing of how mail comes or goes"},
		"spool": {[]string{"relay"}, []string{"github.com/cockroachdb/pebble/v2", "github.com/fxamacker/cbor/v2"},
			"a second spool on another engine must fit the same port"},
		"inbound/auth": {[]string{"relay"}, []string{"golang.org/x/crypto", "github.com/xdg-go/scram", "github.com/xdg-go/stringprep", "github.com/go-ldap/ldap/v3"},
			"who a user is can be decided without knowing what a session is"},
		"inbound/delegation": {[]string{"relay"}, nil,
			"it asks one service about what it is shown, and knows nothing of sessions"},
		"inbound/hook": {[]string{"relay"}, nil,
			"it asks one service about what it is shown, and knows nothing of sessions"},
		"inbound/milter": {[]string{"relay"}, []string{"github.com/emersion/go-milter"},
			"it speaks for one filter at a time and knows nothing of sessions"},
		"inbound/verify": {[]string{"relay"}, []string{"github.com/emersion/go-msgauth", "blitiri.com.ar/go/spf", "golang.org/x/net"},
			"where a message comes from is found out over the ports, and asks DNS, which sessions do not"},
		"inbound": {[]string{"relay", "inbound/auth"}, []string{"github.com/pires/go-proxyproto", "github.com/emersion/go-smtp", "github.com/emersion/go-sasl"},
			"the server edge hands transactions to relay and does not know where they are kept or sent"},
		"outbound/tlsrpt": {[]string{"relay"}, nil,
			"what domains are told of their sessions needs no session to be counted, kept and sent"},
		"outbound": {[]string{"relay", "outbound/tlsrpt"}, []string{"github.com/miekg/dns", "github.com/emersion/go-sasl", "github.com/emersion/go-smtp", "golang.org/x/oauth2", "golang.org/x/net", "github.com/xdg-go/stringprep"},
			"the client edge delivers what it is given and knows no queue"},
		"outbound/outboundtest": {nil, []string{"github.com/miekg/dns"},
			"scripted peers speak the wire's language, not ours"},
		"configs": {adapters, []string{"github.com/goccy/go-yaml"},
			"it composes everybody's Options, and nobody but the program knows of files"},
		"cmd/postrider/load": {nil, []string{"github.com/spf13/cobra", "github.com/schollz/progressbar/v3", "github.com/dustin/go-humanize"},
			"it sends to whatever server there is, and knows none from inside"},
		"cmd/postrider/sink": {[]string{"cmd/postrider/load"}, []string{"github.com/spf13/cobra", "github.com/dustin/go-humanize"},
			"a next hop for trying things out must not share the faults of what is tried; it knows what load's messages say of themselves"},
		"cmd/postrider": {[]string{"*"}, []string{"github.com/spf13/cobra", "github.com/rs/zerolog", "github.com/coreos/go-systemd/v22", "github.com/schollz/progressbar/v3", "github.com/dustin/go-humanize", "golang.org/x/term"},
			"the wiring knows everybody; libraries for terminals and logs go no further down"},
		"integration": {nil, nil,
			"the harness meets the program as its users do: as a process, over sockets"},
		"integration/bench": {[]string{"integration"}, nil,
			"a measurement from outside needs nothing from inside"},
	}
}

// testWalls is what tests may import beyond what their package may.
func testWalls() map[string]wall {
	return map[string]wall{
		"*":                  {[]string{"relay/relaytest"}, nil, "an adapter's tests use the conformance suites and fakes, never another adapter"},
		"cmd/postrider/load": {[]string{"cmd/postrider/sink"}, nil, "something that takes what is sent"},
		"dkim":               {nil, []string{"github.com/emersion/go-msgauth"}, "a verifier that others have written"},
		"inbound":            {nil, []string{"github.com/xdg-go/scram", "golang.org/x/crypto"}, "clients that others have written, and a users file"},
		"relay/admin":        {nil, []string{"github.com/goccy/go-yaml"}, "the description of the API is YAML, and is held to the code"},
		"inbound/auth":       {nil, []string{"github.com/go-asn1-ber/asn1-ber"}, "a directory of its own to ask"},
		"outbound":           {[]string{"outbound/outboundtest"}, nil, "an adapter's own test peers"},
		"integration":        {[]string{"integration", "outbound/outboundtest"}, []string{"github.com/chromedp"}, "scripted peers are peers like Postfix, and a browser is driven from afar"},
	}
}

// topLevel is the house. A new room needs a reason that is better than these.
func topLevel() []string {
	return []string{"cmd", "relay", "inbound", "outbound", "spool", "dkim", "policy", "configs", "integration", "go.mod", "go.sum", "README.md"}
}

// listed is what go list says of a package.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir, cmd.Stderr = "..", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		wall, ok := walls()[name]
		if !ok {
			t.Errorf("package %s has no row in the import table: say what it may import, and why", name)
			continue
		}
		for _, imported := range p.Imports {
			if !wall.allows(imported) {
				t.Errorf("%s imports %s, but %s", name, imported, wall.why)
			}
		}
		own, all := testWalls()[name], testWalls()["*"]
		for _, imported := range append(p.TestImports, p.XTestImports...) {
			itself := imported == p.ImportPath
			if !itself && !wall.allows(imported) && !own.allows(imported) && !all.allows(imported) {
				t.Errorf("a test of %s imports %s, but %s", name, imported, all.why)
			}
		}
	}
}

// allows says whether a package may be imported. The standard library always may.
func (w wall) allows(imported string) bool {
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		return slices.Contains(w.ours, "*") || slices.Contains(w.ours, ours)
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return true
	}
	return slices.ContainsFunc(w.third, func(module string) bool {
		return imported == module || strings.HasPrefix(imported, module+"/")
	})
}

func TestWallAllows(t *testing.T) {
	t.Parallel()
	w := wall{ours: []string{"relay"}, third: []string{"github.com/miekg/dns"}}
	for imported, want := range map[string]bool{
		"net/http": true, "postrider/relay": true, "github.com/miekg/dns": true, "github.com/miekg/dns/x": true,
		"postrider/relay/admin": false, "postrider/spool": false, "github.com/miekg/dnsx": false, "C": true,
	} {
		if got := w.allows(imported); got != want {
			t.Errorf("allows(%s) = %v, want %v", imported, got, want)
		}
	}
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	needs(t, "git")
	// What Git knows or would add; what is ignored, such as data of a trial run, is no room.
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for path := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(path), "/")
		seen[name] = true
	}
	for name := range seen {
		if !strings.HasPrefix(name, ".") && !slices.Contains(topLevel(), name) {
			t.Errorf("%s stands at the top level, where only %v belong", name, topLevel())
		}
	}
	for _, name := range topLevel() {
		if !seen[name] {
			t.Errorf("%s is missing at the top level", name)
		}
	}
}
