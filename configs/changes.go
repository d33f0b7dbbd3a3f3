package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// fixed are the keys that take a new start of the relay. A key stands for all below it.
func fixed() []string {
	return []string{"hostname", "data", "limits.min_free", "history", "tls_report", "events", "admin", "log.format"}
}

// Changes names the keys in which a configuration differs from this one, as in
// "routes[corp].tls" or "rules[no-exe]: new". Values are not shown: there are secrets among them.
// It is an error where the other one cannot take this one's place: what takes a new start is
// different, or the file looks as if only a part of it had been written so far.
func (c *Config) Changes(next *Config) (changed []string, err error) {
	var d differ
	d.values("", reflect.ValueOf(*c.file), reflect.ValueOf(*next.file))
	var refused []string
	for _, path := range d.paths {
		if slices.ContainsFunc(fixed(), func(key string) bool { return isAt(path, key) }) {
			refused = append(refused, path)
		} else {
			changed = append(changed, path)
		}
	}
	var faults []error
	if len(refused) > 0 {
		faults = append(faults, fmt.Errorf("nothing of the file was taken up, as some of it takes a new start: %s", strings.Join(refused, ", ")))
	}
	if next.torn {
		faults = append(faults, errors.New("the file ends within a line: it is not whole"))
	}
	if c.routed && !next.routed {
		faults = append(faults, errors.New("routes: there are none any more, and mail would go by MX: is the file whole? If that is meant, it takes a new start"))
	}
	return changed, errors.Join(faults...)
}

// isAt says whether a path is a key's or lies below it.
func isAt(path, key string) bool {
	rest, is := strings.CutPrefix(path, key)
	return is && (rest == "" || strings.ContainsRune(".[:", rune(rest[0])))
}

// differ finds where two values of a type differ.
type differ struct{ paths []string }

func (d *differ) note(path string) { d.paths = append(d.paths, path) }

func (d *differ) values(path string, a, b reflect.Value) {
	switch {
	case reflect.DeepEqual(a.Interface(), b.Interface()):
	case a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil():
		d.values(path, a.Elem(), b.Elem())
	case a.Kind() == reflect.Struct && len(keysIn(a.Type())) > 0:
		for _, f := range keysIn(a.Type()) {
			d.values(joined(path, f.Tag.Get("yaml")), a.FieldByIndex(f.Index), b.FieldByIndex(f.Index))
		}
	case a.Kind() == reflect.Slice && named(a.Type().Elem()) != nil:
		d.lists(path, a, b)
	default:
		d.note(path)
	}
}

// lists compares what has names by these, and then the order.
func (d *differ) lists(path string, a, b reflect.Value) {
	before, after := namesIn(a), namesIn(b)
	for i, name := range before {
		j := slices.Index(after, name)
		at := fmt.Sprintf("%s[%s]", path, name)
		if j < 0 {
			d.note(at + ": gone")
			continue
		}
		d.values(at, a.Index(i), b.Index(j))
	}
	for _, name := range after {
		if !slices.Contains(before, name) {
			d.note(fmt.Sprintf("%s[%s]: new", path, name))
		}
	}
	kept := func(names, others []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !slices.Contains(others, n) })
	}
	if !slices.Equal(kept(before, after), kept(after, before)) {
		d.note(path + ": the order")
	}
}

// named gives the field by which values of the type are known, nil where there is none.
func named(t reflect.Type) []int {
	if t.Kind() != reflect.Struct {
		return nil
	}
	if f, ok := t.FieldByName("Name"); ok && f.Tag.Get("yaml") == "name" {
		return f.Index
	}
	return nil
}

func namesIn(list reflect.Value) []string {
	names := make([]string, list.Len())
	for i := range names {
		names[i] = list.Index(i).FieldByIndex(named(list.Type().Elem())).String()
	}
	return names
}

// keysIn are the fields of a struct that have keys, those of embedded ones included.
func keysIn(t reflect.Type) []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return f.Tag.Get("yaml") == "" })
}

func joined(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
