package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// typed runs a command line with the input, and gives what it prints and its error.
func typed(t *testing.T, input string, args ...string) (string, error) {
	t.Helper()
	root := newRootCommand()
	var out bytes.Buffer
	root.SetIn(strings.NewReader(input))
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestUserCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, secret := filepath.Join(dir, "users"), filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("s3cret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		input, args, out, fault string
	}{
		{"", "user list", "", "which users file"},
		{"", "user list", "", "no such file"},
		{"a\n", "user verify ann", "", "no such file"},
		{"pass word\n", "user add ann --dry-run", `Added user "ann" in FILE (bcrypt) (a dry run: nothing was changed).`, ""},
		{"", "user list", "", "no such file"},
		{"pass word\n", "user add ann", `Added user "ann" in FILE (bcrypt).`, ""},
		{"pass word", "user add ann", "", `FILE has user "ann" already; --replace changes it`},
		{"", "user add bob --scram --password-file SECRET --allow bob@example.com --allow @shop.example --rate 1000/1h --quota 5000", `Added user "bob" in FILE (SCRAM-SHA-256).`, ""},
		{"x", "user add eve --argon2id", `Added user "eve" in FILE (argon2id).`, ""},
		{"other", "user add bob --replace", `Changed user "bob" in FILE (bcrypt).`, ""},
		{"other\n", "user verify bob", `The password of user "bob" is right.`, ""},
		{"s3cret\n", "user verify bob", "", `the password of user "bob" is another one`},
		{"", "user verify ann --password-file SECRET", "", "is another one"},
		{"x", "user verify nobody", "", `FILE has no user "nobody"`},
		{"", "user add x", "", "the password is empty"},
		{"a\nb", "user add x", "", "more than a line"},
		{strings.Repeat("x", 5000), "user add x", "", "longer than 4096 bytes"},
		{strings.Repeat("x", 73), "user add x", "", "at most 72 bytes"},
		{"x", "user add a:b", "", "cannot be the name of a user"},
		{"x", "user add x --allow nobody", "", `--allow "nobody"`},
		{"x", "user add x --rate much", "", "--rate"},
		{"x", "user add x --quota much", "", "--quota"},
		{"x", "user add x --scram --bcrypt", "", "none of the others can be"},
		{"", "user list", "USER  SECRET    RATE     QUOTA     SENDERS\nann   bcrypt    -        -         any\nbob   bcrypt    1000/1h  5000/24h  bob@example.com, @shop.example\neve   argon2id  -        -         any", ""},
		{"", "user list --json", `{"user":"ann","scheme":"bcrypt"}` + "\n" +
			`{"user":"bob","scheme":"bcrypt","senders":["bob@example.com","@shop.example"],"rate":"1000/1h","quota":"5000/24h"}` + "\n" +
			`{"user":"eve","scheme":"argon2id"}`, ""},
		{"", "user remove ann nobody", "", `FILE has no user "nobody"; nobody was removed`},
		{"", "user remove ann eve", "Removed 2 users from FILE: ann, eve.", ""},
		{"", "user list --json", `{"user":"bob","scheme":"bcrypt","senders":["bob@example.com","@shop.example"],"rate":"1000/1h","quota":"5000/24h"}`, ""},
	} {
		args := strings.Fields(strings.NewReplacer("SECRET", secret).Replace(step.args))
		if step.fault != "which users file" {
			args = append(args, "--file", file)
		}
		out, err := typed(t, step.input, args...)
		names := strings.NewReplacer(file, "FILE")
		trailing := regexp.MustCompile(`(?m) +$`)
		if got := trailing.ReplaceAllString(strings.TrimSpace(names.Replace(out)), ""); got != step.out {
			t.Errorf("%s:\ngot  %s\nwant %s", step.args, got, step.out)
		}
		fault := ""
		if err != nil {
			fault = names.Replace(err.Error())
		}
		if (step.fault == "") != (fault == "") || !strings.Contains(fault, step.fault) {
			t.Errorf("%s: got error %q, want %q", step.args, fault, step.fault)
		}
	}
}

// The file is found by the configuration too.
func TestUserFileOfConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "postrider.yaml")
	text := "hostname: relay.example.com\ndata: data\nusers: {file: users}\nlisten: [{name: a, address: \"127.0.0.1:2525\", auth: required}]\n"
	for name, text := range map[string]string{"postrider.yaml": text, "users": "# none yet\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := typed(t, "x", "user", "add", "ann", "--config", config); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "users"))
	if err != nil || !strings.HasPrefix(string(got), "# none yet\nann:$2a$") {
		t.Errorf("the file is %q, %v", got, err)
	}
}
