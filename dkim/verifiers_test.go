package dkim_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	all["3 MB"] = message("a@example.com", "\r\n"+strings.Repeat("A line \t of text.  \r\n\r\n\r\n.\r\n\xe4\xf6\xfc\r\n \r\n", 80_000))
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

// judge says of each message whether both signatures of example.com verify.
type judge func(t *testing.T, records dns, messages map[string]string) map[string]bool

// checkCorpus signs each message in each form and has the verifier look at it as it is, which
// must be good, and with a byte changed, which must not. What is skipped is so by its name, or
// its form and name, with the reason.
func checkCorpus(t *testing.T, skip map[string]string, verifier judge) {
	t.Helper()
	for _, form := range forms() {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s, records := fixtureOf(t, form)
			messages := make(map[string]string)
			for name, m := range corpus() {
				if skip[name] != "" || skip[form+"/"+name] != "" || name == "3 MB" && form != "relaxed/relaxed" {
					continue
				}
				fields, err := s.Sign(context.Background(), split(m))
				if err != nil {
					t.Fatal(err)
				}
				messages[name] = string(fields) + m
				if other, ok := changed(m); ok {
					messages[name+", changed"] = string(fields) + other
				}
			}
			good := verifier(t, records, messages)
			for name := range messages {
				if want := !strings.HasSuffix(name, ", changed"); good[name] != want {
					t.Errorf("%s: verifies: %v, want %v", name, good[name], want)
				}
			}
		})
	}
}

func TestGoVerifier(t *testing.T) {
	t.Parallel()
	skip := map[string]string{
		"blank for long": "its time grows with the square", "blank within chunk": "the same", "3 MB": "it is slow under the race detector",
	}
	checkCorpus(t, skip, func(t *testing.T, records dns, messages map[string]string) map[string]bool {
		good := make(map[string]bool)
		for name, m := range messages {
			good[name] = strings.Join(verify(t, records, m)[:2], " ") == "example.com example.com"
		}
		return good
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

// store writes messages into a folder, and gives the files by name.
func store(t *testing.T, messages map[string]string) map[string]string {
	t.Helper()
	files, dir := make(map[string]string), t.TempDir()
	for name, m := range messages {
		files[name] = filepath.Join(dir, fmt.Sprint(len(files)))
		if err := os.WriteFile(files[name], []byte(m), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestDKIMPy(t *testing.T) {
	t.Parallel()
	python := pythonWithDKIM(t)
	const script = `
import sys, dkim
records = dict(l.split('\t') for l in sys.argv[1].splitlines())
def lookup(name, timeout=5): return records.get(name.decode().rstrip('.'), '').encode() or None
def good(d, i):
    try: return d.verify(idx=i, dnsfunc=lookup)
    except dkim.ValidationError: return False
for file in sys.argv[2:]:
    d = dkim.DKIM(open(file, 'rb').read())
    if all(good(d, i) for i in range(2)): print(file)
`
	skip := map[string]string{"obsolete space": "it does not read the syntax of RFC 5322 section 4.5"}
	if os.Getenv("POSTRIDER_LONG") != "1" {
		skip["3 MB"] = "it takes seconds; OpenDKIM always has it"
	}
	checkCorpus(t, skip, func(t *testing.T, records dns, messages map[string]string) map[string]bool {
		var published strings.Builder
		for name, record := range records {
			fmt.Fprintf(&published, "%s\t%s\n", name, record)
		}
		files := store(t, messages)
		out, err := exec.Command(python, slices.Concat([]string{"-c", script, published.String()}, slices.Collect(maps.Values(files)))...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		good := make(map[string]bool)
		for name, file := range files {
			good[name] = slices.Contains(strings.Split(string(out), "\n"), file)
		}
		return good
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
	checkCorpus(t, skip, func(t *testing.T, records dns, messages map[string]string) map[string]bool {
		dir, good := t.TempDir(), make(map[string]bool)
		var published strings.Builder
		for name, record := range records {
			fmt.Fprintf(&published, "%s %s\n", name, record)
		}
		config := filepath.Join(dir, "conf")
		for path, text := range map[string]string{filepath.Join(dir, "dns"): published.String(), config: "Mode v\nTestDNSData file:" + filepath.Join(dir, "dns") + "\n"} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for name, file := range store(t, messages) {
			out, err := exec.Command(program, "-x", config, "-t", file, "-vv").CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v: %s", name, err, out)
			}
			good[name] = bytes.Count(out, []byte("dkim=pass")) == 2
		}
		return good
	})
}
