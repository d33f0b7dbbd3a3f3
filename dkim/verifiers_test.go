package dkim_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// forms are the canonicalizations.
func forms() []string {
	return []string{"relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"}
}

// corpus is the odd messages with a large one, which has every kind of odd line.
func corpus() map[string]string {
	all := oddMessages()
	all["25 MB"] = message("a@example.com", "\r\n"+strings.Repeat("A line \t of text.  \r\n\r\n\r\n.\r\n\xe4\xf6\xfc\r\n \r\n", 700_000))
	return all
}

// changed gives the message with one byte of its body another, if it has one.
func changed(m string) (string, bool) {
	header, body, _ := strings.Cut(m, "\r\n\r\n")
	at := strings.LastIndexAny(body, "xeot")
	if at < 0 {
		return "", false
	}
	return header + "\r\n\r\n" + body[:at] + "#" + body[at+1:], true
}

// checkCorpus signs each message in each form and has the verifier look at it as it is, which
// must be good, and with a byte changed, which must not.
// What is skipped is so by its name, or its form and name, with the reason.
func checkCorpus(t *testing.T, skip map[string]string, good func(t *testing.T, records dns, message string) bool) {
	t.Helper()
	for _, form := range forms() {
		s, records := fixtureOf(t, form)
		for name, m := range corpus() {
			if skip[name] != "" || skip[form+"/"+name] != "" || name == "25 MB" && form != "relaxed/relaxed" {
				continue
			}
			t.Run(form+"/"+name, func(t *testing.T) {
				t.Parallel()
				fields, err := s.Sign(context.Background(), split(m))
				if err != nil {
					t.Fatal(err)
				}
				if !good(t, records, string(fields)+m) {
					t.Error("the signatures do not verify")
				}
				if other, ok := changed(m); ok && good(t, records, string(fields)+other) {
					t.Error("the signatures verify though a byte was changed")
				}
			})
		}
	}
}

func TestGoVerifier(t *testing.T) {
	t.Parallel()
	skip := map[string]string{
		"blank megabytes": "its time grows with the square", "blank within chunk": "the same", "25 MB": "it is slow under the race detector",
	}
	checkCorpus(t, skip, func(t *testing.T, records dns, message string) bool {
		return strings.Join(verify(t, records, message)[:2], " ") == "example.com example.com"
	})
}

// lacking ends a test whose peer is not installed: as a failure where peers are required.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("POSTRIDER_REQUIRE_PEERS") == "1" {
		t.Fatal(what + " is not installed, and POSTRIDER_REQUIRE_PEERS=1")
	}
	t.Skip(what + " is not installed")
}

// pythonWithDKIM finds a Python that has dkimpy; the one of the distribution may not be
// the first in the path.
func pythonWithDKIM(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import dkim, nacl").Run() == nil {
			return python
		}
	}
	lacking(t, "python3-dkim with python3-nacl")
	return ""
}

func TestDKIMPy(t *testing.T) {
	t.Parallel()
	python := pythonWithDKIM(t)
	script := "import sys, dkim\nr = dict(l.split('\\t') for l in sys.argv[1].splitlines())\nm = sys.stdin.buffer.read()\n" +
		"d = dkim.DKIM(m)\nf = lambda n, timeout=5: r.get(n.decode().rstrip('.'), '').encode() or None\n" +
		"print(*[d.verify(idx=i, dnsfunc=f) for i in range(2)])\n"
	skip := map[string]string{"obsolete space": "it does not read the syntax of RFC 5322 section 4.5"}
	checkCorpus(t, skip, func(t *testing.T, records dns, message string) bool {
		var published strings.Builder
		for name, record := range records {
			fmt.Fprintf(&published, "%s\t%s\n", name, record)
		}
		c := exec.Command(python, "-c", script, published.String())
		c.Stdin = strings.NewReader(message)
		out, err := c.CombinedOutput()
		if err != nil && !bytes.Contains(out, []byte("ValidationError")) {
			t.Errorf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out)) == "True True"
	})
}

func TestOpenDKIM(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("opendkim")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/opendkim")
	}
	if err != nil {
		lacking(t, "opendkim")
	}
	skip := map[string]string{
		"body of one line":            "its test mode reads whole lines; what a relay signs has them",
		"long field":                  "over its limit of 64 KiB",
		"simple/simple/folded":        "milters are not told of the white space before a value",
		"simple/relaxed/folded":       "the same",
		"simple/simple/empty fields":  "the same",
		"simple/relaxed/empty fields": "the same",
	}
	checkCorpus(t, skip, func(t *testing.T, records dns, message string) bool {
		dir := t.TempDir()
		var published strings.Builder
		for name, record := range records {
			fmt.Fprintf(&published, "%s %s\n", name, record)
		}
		config := "Mode v\nTestDNSData file:" + filepath.Join(dir, "dns") + "\n"
		for name, text := range map[string]string{"dns": published.String(), "conf": config, "message": message} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.Command(program, "-x", filepath.Join(dir, "conf"), "-t", filepath.Join(dir, "message"), "-vv").CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return bytes.Count(out, []byte("dkim=pass")) == 2
	})
}
