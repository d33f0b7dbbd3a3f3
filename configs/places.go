package configs

import (
	"os"
	"path/filepath"
	"slices"
)

// LoadPlaces reads of a configuration file only where a relay that has it keeps its data and
// hears its operators: Data, Spool.Dir and Admin.Socket. It is for commands that ask a relay which
// runs, and goes on while its file is being edited or names what only the relay has, such as the
// environment of its service. It gives nil where the file does not say: a guess could lead to
// another relay.
func LoadPlaces(name string, o Overrides) *Config {
	text, err := os.ReadFile(name)
	if err != nil || len(text) > maxFile {
		return nil
	}
	o = o.withDefaults()
	r := newReport(name, string(text))
	f := defaults()
	d := decoder{report: r, secrets: secrets{dir: filepath.Dir(name), lookupEnv: o.LookupEnv}}
	d.decode(text, f)
	said := func(path string) bool {
		_, ok := r.places[path]
		return ok && !slices.ContainsFunc(r.unread, func(u string) bool { return holds(u, path) })
	}
	if !said("data") || slices.Contains(r.unread, "admin.socket") {
		return nil
	}
	o.apply(f, r)
	c := f.compose()
	return &Config{Data: c.Data, Spool: c.Spool, Admin: Admin{Socket: c.Admin.Socket}}
}
