package admin

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"postrider/relay"
)

// description is what the tests read of the OpenAPI file.
type description struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	OperationID string `yaml:"operationId"`
	Parameters  []struct{ Name, In string }
	Responses   map[string]any
}

type schema struct {
	Ref        string `yaml:"$ref"`
	Type       string
	Format     string
	Enum       []string
	Properties map[string]schema
	Items      *schema
}

func described(t *testing.T) *description {
	t.Helper()
	d := new(description)
	if err := yaml.Unmarshal(openAPI, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Every route is described, and nothing else is. Profiles are for Go's own tools, and pages for
// browsers.
func TestOpenAPIRoutes(t *testing.T) {
	t.Parallel()
	var want, got []string
	for _, rt := range new(Server).table() {
		if !strings.Contains(rt.pattern, "/debug/") && !strings.Contains(rt.pattern, "/ui/") && rt.pattern != "GET /{$}" {
			want = append(want, rt.pattern)
		}
	}
	operations := make(map[string]bool)
	for path, methods := range described(t).Paths {
		for method, o := range methods {
			got = append(got, strings.ToUpper(method)+" "+path)
			if o.OperationID == "" || operations[o.OperationID] || len(o.Responses) == 0 {
				t.Errorf("%s %s has the id %q, which is empty or there already, or no responses", method, path, o.OperationID)
			}
			operations[o.OperationID] = true
			for name := range strings.SplitSeq(path, "{") {
				name, _, found := strings.Cut(name, "}")
				if found && !slices.ContainsFunc(o.Parameters, func(p struct{ Name, In string }) bool { return p.Name == name && p.In == "path" }) {
					t.Errorf("%s %s does not describe {%s}", method, path, name)
				}
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("described: %q\nserved:    %q", got, want)
	}
}

// schemas are the types behind the schemas.
func schemas() map[string]reflect.Type {
	return map[string]reflect.Type{
		"Problem":    reflect.TypeFor[problem](),
		"Checkpoint": reflect.TypeFor[Checkpoint](),
		"PutResult":  reflect.TypeFor[PutResult](),

		"Record":          reflect.TypeFor[Record](),
		"RecordEnvelope":  reflect.TypeFor[RecordEnvelope](),
		"RecordRecipient": reflect.TypeFor[RecordRecipient](),
		"RecordOrigin":    reflect.TypeFor[RecordOrigin](),
		"RecordDelivery":  reflect.TypeFor[RecordDelivery](),
		"RecordReply":     reflect.TypeFor[RecordReply](),

		"Entry":           reflect.TypeFor[Entry](),
		"Detail":          reflect.TypeFor[Detail](),
		"Bin":             reflect.TypeFor[Bin](),
		"NextPage":        reflect.TypeFor[nextPage](),
		"Destination":     reflect.TypeFor[Destination](),
		"Depth":           reflect.TypeFor[Depth](),
		"Pace":            reflect.TypeFor[Pace](),
		"Limit":           reflect.TypeFor[Limit](),
		"Limits":          reflect.TypeFor[Limits](),
		"Import":          reflect.TypeFor[Import](),
		"ImportEnd":       reflect.TypeFor[ImportEnd](),
		"Learned":         reflect.TypeFor[Learned](),
		"AddressHealth":   reflect.TypeFor[AddressHealth](),
		"Complaint":       reflect.TypeFor[Complaint](),
		"Stats":           reflect.TypeFor[Stats](),
		"Verdict":         reflect.TypeFor[Verdict](),
		"Action":          reflect.TypeFor[Action](),
		"Selection":       reflect.TypeFor[Selection](),
		"Progress":        reflect.TypeFor[Progress](),
		"Life":            reflect.TypeFor[Life](),
		"LifeEvent":       reflect.TypeFor[LifeEvent](),
		"Change":          reflect.TypeFor[Change](),
		"Changed":         reflect.TypeFor[Changed](),
		"Pause":           reflect.TypeFor[Pause](),
		"JournalEntry":    reflect.TypeFor[JournalEntry](),
		"Reload":          reflect.TypeFor[Reload](),
		"Rerouting":       reflect.TypeFor[Rerouting](),
		"TranscriptOrder": reflect.TypeFor[TranscriptOrder](),
		"Transcript":      reflect.TypeFor[Transcript](),
		"Stopped":         reflect.TypeFor[Stopped](),

		"OAuthToken": reflect.TypeFor[OAuthToken](),

		"Suppression":        reflect.TypeFor[Suppression](),
		"SuppressionOrder":   reflect.TypeFor[SuppressionOrder](),
		"SuppressionRemoval": reflect.TypeFor[SuppressionRemoval](),
		"SuppressionTally":   reflect.TypeFor[SuppressionTally](),

		"Event":       reflect.TypeFor[Event](),
		"Connection":  reflect.TypeFor[Connection](),
		"Connections": reflect.TypeFor[Connections](),
		"Site":        reflect.TypeFor[Site](),
		"Attempt":     reflect.TypeFor[Attempt](),
		"Sample":      reflect.TypeFor[Sample](),
		"Settings":    reflect.TypeFor[Settings](),
		"Session":     reflect.TypeFor[Session](),
		"SignIn":      reflect.TypeFor[SignIn](),
	}
}

// Every field of every type is described by its name and kind, and nothing else is.
func TestOpenAPIFields(t *testing.T) {
	t.Parallel()
	all := described(t).Components.Schemas
	if got, want := slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(schemas())); !slices.Equal(got, want) {
		t.Fatalf("schemas %q, want %q", got, want)
	}
	for name, of := range schemas() {
		fields := make(map[string]reflect.Type)
		for i := range of.NumField() {
			field, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			fields[field] = of.Field(i).Type
		}
		for field, s := range all[name].Properties {
			if fields[field] == nil {
				t.Errorf("%s.%s is described and not there", name, field)
			} else if got, want := s.kind(), kindOf(fields[field]); got != want {
				t.Errorf("%s.%s is described as %s and is %s", name, field, got, want)
			}
		}
		for field := range fields {
			if _, ok := all[name].Properties[field]; !ok {
				t.Errorf("%s.%s is not described", name, field)
			}
		}
	}
}

func (s *schema) kind() string {
	switch {
	case s.Ref != "":
		return s.Ref[strings.LastIndex(s.Ref, "/")+1:]
	case s.Items != nil:
		return "array of " + s.Items.kind()
	case s.Format == "date-time":
		return "time"
	}
	return s.Type
}

func kindOf(t reflect.Type) string {
	if t == reflect.TypeFor[time.Time]() {
		return "time"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Slice:
		return "array of " + kindOf(t.Elem())
	case reflect.Struct:
		for name, of := range schemas() {
			if of == t {
				return name
			}
		}
		return "a type that is not described: " + t.Name()
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Float64:
		return "number"
	case reflect.Map:
		return "object"
	}
	return "integer"
}

// stateWords are those of the states of entries.
func stateWords() []string {
	var words []string
	for s := relay.StateHeld; s <= relay.StateDue; s++ {
		words = append(words, s.String())
	}
	return append(words, StateDamaged)
}

// actionWords are those of actions.
func actionWords() []string {
	var words []string
	for a := relay.ActionHold; a <= relay.ActionReroute; a++ {
		words = append(words, a.String())
	}
	return words
}

// The words of enumerations are those of the code.
func TestOpenAPIWords(t *testing.T) {
	t.Parallel()
	all := described(t).Components.Schemas
	for at, want := range map[string][]string{
		"Entry.state":   stateWords(),
		"Event.event":   EventWords(),
		"Action.action": actionWords(),
	} {
		name, field, _ := strings.Cut(at, ".")
		if got := all[name].Properties[field].Enum; !slices.Equal(got, want) {
			t.Errorf("%s: described as %q, are %q", at, got, want)
		}
	}
}
