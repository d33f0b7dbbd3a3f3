package policy

import (
	"reflect"
	"testing"
)

// TestShapes holds the environment that conditions are checked against and the one they
// run with together: the compiled form names fields by position.
func TestShapes(t *testing.T) {
	t.Parallel()
	same(t, "environment", reflect.TypeFor[environment](), reflect.TypeFor[machine]())
}

func same(t *testing.T, path string, checked, run reflect.Type) {
	t.Helper()
	if run.Kind() == reflect.Interface {
		return
	}
	if checked.Kind() != reflect.Struct || run.Kind() != reflect.Struct || checked.NumField() != run.NumField() {
		t.Fatalf("%s: %s and %s differ", path, checked, run)
	}
	for i := range checked.NumField() {
		c, r := checked.Field(i), run.Field(i)
		if c.Name != r.Name {
			t.Errorf("%s: field %d is %s in one and %s in the other", path, i, c.Name, r.Name)
		}
		same(t, path+"."+c.Name, c.Type, r.Type)
	}
}

// The age of a queue is in whole seconds, and nothing where nothing waits.
func TestQueueAge(t *testing.T) {
	t.Parallel()
	p, m := questionable(t)
	for text, want := range map[string]bool{
		`queue("corp").age == 90`:                              true,
		`queue("corp").age > 90`:                               false,
		`queue("other").age == 0 and queue("corp").age > 60`:   true,
		`queue("other/dest.example").age + queue("x").age > 0`: false,
	} {
		made, err := p.compileTest(text, rcpt)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		f := p.facts(t.Context(), &m.Origin, m)
		if got := made.test(f); got != want || f.err != nil {
			t.Errorf("%s: got %t, %v, want %t", text, got, f.err, want)
		}
		f.done()
	}
}
