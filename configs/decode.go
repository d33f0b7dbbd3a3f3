package configs

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// decoder puts a YAML document into a struct, and goes on after each fault. The YAML
// library's own strict decoding ends at the first.
type decoder struct {
	*report
	secrets secrets
}

// decode reads the file's text into f, which holds the defaults.
func (d *decoder) decode(text []byte, f *file) {
	if !d.checkShape() {
		return
	}
	parsed, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return
	}
	for i, doc := range parsed.Docs {
		switch {
		case i > 0 && doc.Body != nil:
			d.at(position(doc.Body), "a second document: a configuration is one")
		case doc.Body != nil && doc.Body.Type() != ast.NullType:
			d.value("", doc.Body, reflect.ValueOf(f).Elem())
		}
	}
}

// The bounds of a file that the YAML library, which is recursive, is given to parse.
const (
	maxLine  = 32 << 10
	maxDepth = 100
)

// checkShape says whether no line is too long and no bracket too deep.
func (d *decoder) checkShape() bool {
	depth := 0
	for i, line := range d.lines {
		if len(line) > maxLine {
			d.at(place{i + 1, 1}, "a line of more than %d bytes", maxLine)
			return false
		}
		for j := range len(line) {
			switch line[j] {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(depth-1, 0)
			}
			if depth > maxDepth {
				d.at(place{i + 1, 1}, "brackets nested more than %d deep", maxDepth)
				return false
			}
		}
	}
	return true
}

func (d *decoder) syntax(err error) {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		d.at(place{}, "%s", err)
		return
	}
	p := at.GetToken().Position
	d.at(place{p.Line, p.Column}, "%s", at.GetMessage())
}

// position is where a value begins, and for a pair of a mapping, its key.
func position(n ast.Node) place {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return position(m.Values[0])
		}
	case *ast.MappingValueNode:
		n = m.Key
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return place{}
	}
	return place{t.Position.Line, t.Position.Column}
}

// value puts a node into a field; path names it.
func (d *decoder) value(path string, n ast.Node, into reflect.Value) {
	if n == nil || n.Type() == ast.NullType {
		return // a key without a value: as if it were not there
	}
	d.places[path] = position(n)
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	_, isText := into.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case into.Kind() == reflect.Struct && !isText:
		d.mapping(path, n, into)
	case into.Kind() == reflect.Slice:
		d.sequence(path, n, into)
	default:
		d.scalar(path, n, into)
	}
}

// mapping puts each key of a mapping into the field of that name.
func (d *decoder) mapping(path string, n ast.Node, into reflect.Value) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		d.expected(path, n, "a mapping of keys to values")
		return
	}
	if path != "" {
		path += "."
	}
	fields, names := keysOf(into.Type())
	seen := make(map[string]bool)
	for _, pair := range pairs {
		name := pair.Key.GetToken().Value
		index, known := fields[name]
		switch {
		case !known:
			d.unknown(pair, path+name, name, names)
		case seen[name]:
			d.at(position(pair), "%s stands here a second time", path+name)
		default:
			d.value(path+name, pair.Value, into.FieldByIndex(index))
		}
		seen[name] = true
	}
}

// keysOf gives the keys that a struct has, those of embedded ones included, and the fields they
// are for.
func keysOf(t reflect.Type) (fields map[string][]int, names []string) {
	fields = make(map[string][]int)
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("yaml"); name != "" {
			fields[name] = f.Index
			names = append(names, name)
		}
	}
	return fields, names
}

// unknown reports a key that there is not. Where it is a misspelling, the key that was
// meant counts as unread rather than missing.
func (d *decoder) unknown(pair *ast.MappingValueNode, path, name string, known []string) {
	if near := nearest(name, known); near != "" {
		d.at(position(pair), "unknown key %s: did you mean %q?", path, near)
		d.unread = append(d.unread, strings.TrimSuffix(path, name)+near)
		return
	}
	d.at(position(pair), "unknown key %s: here may be %s", path, list(known))
}

// list gives words as in "a, b or c".
func list(words []string) string {
	text := words[0]
	for i, w := range words[1:] {
		if i == len(words)-2 {
			text += " or " + w
		} else {
			text += ", " + w
		}
	}
	return text
}

func (d *decoder) sequence(path string, n ast.Node, into reflect.Value) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.expected(path, n, "a list")
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(s.Values), len(s.Values)))
	for i, v := range s.Values {
		d.value(fmt.Sprintf("%s[%d]", path, i), v, into.Index(i))
	}
}

// scalar reads text, with secrets put in, as what the field wants. What kind of scalar
// YAML takes it for does not matter: a password of digits is a password.
func (d *decoder) scalar(path string, n ast.Node, into reflect.Value) {
	text, ok := scalarText(n)
	if !ok {
		d.expected(path, n, "a single value")
		return
	}
	text, err := d.secrets.expand(text)
	if err == nil {
		err = d.set(text, into)
	}
	if err != nil {
		d.cannotRead(path, "%s", err)
	}
}

func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func (d *decoder) set(text string, into reflect.Value) error {
	if u, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch into.Kind() {
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is not true or false", text)
		}
		into.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		into.SetInt(int64(n))
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return fmt.Errorf("%q is not a number", text)
		}
		into.SetFloat(n)
	default:
		if into.Type() == reflect.TypeFor[path]() {
			text = within(d.secrets.dir, text)
		}
		into.SetString(text)
	}
	return nil
}

func (d *decoder) expected(path string, n ast.Node, want string) {
	if path == "" {
		d.at(position(n), "want %s", want)
		return
	}
	switch n.Type() {
	case ast.AnchorType, ast.AliasType, ast.TagType, ast.MergeKeyType:
		d.cannotRead(path, "anchors, aliases and tags are not for configurations")
	default:
		d.cannotRead(path, "want %s", want)
	}
}
