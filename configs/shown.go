package configs

import (
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// hidden stands for a secret.
const hidden = "(hidden)"

// shown is a configuration for operators to see: without comments, which may say anything,
// and without secrets. References to secrets stay.
func shown(text []byte) string {
	parsed, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return "" // a configuration in force has none
	}
	if len(parsed.Docs) == 0 || parsed.Docs[0].Body == nil {
		return "# No configuration file: the defaults, and what flags say.\n"
	}
	h := hider{credentials: regexp.MustCompile(`[^\s/@]+:[^\s/@]*@`), reference: regexp.MustCompile(`^\$\{[a-z]+:[^}]*\}$`)}
	ast.Walk(h, parsed.Docs[0].Body)
	return parsed.Docs[0].Body.String() + "\n"
}

// hider visits the nodes of a configuration.
type hider struct {
	// credentials are those in an address; reference is a value that only refers to a secret.
	credentials, reference *regexp.Regexp
}

// Visit implements ast.Visitor.
func (h hider) Visit(n ast.Node) ast.Visitor {
	if pair, ok := n.(*ast.MappingValueNode); ok {
		h.hide(pair)
	}
	return h
}

func (h hider) hide(pair *ast.MappingValueNode) {
	text, ok := textOf(pair.Value)
	if !ok {
		return
	}
	if isSecret(pair.Key.String()) && !h.reference.MatchString(text) {
		text = hidden
	} else if without := h.credentials.ReplaceAllString(text, hidden+"@"); without != text {
		text = without
	} else {
		return
	}
	// A text can always be said.
	if node, err := yaml.ValueToNode(text); err == nil {
		pair.Value = node
	}
}

// textOf is the text of a value that holds no others.
func textOf(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode, *ast.NullNode:
		return "", false
	}
	return n.String(), true
}

// isSecret says whether what stands under a key is one.
func isSecret(key string) bool {
	return strings.HasSuffix(key, "password") || strings.HasSuffix(key, "secret") || key == "token"
}
