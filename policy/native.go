package policy

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// boolFact, stringFact and intFact are expressions as Go functions. They mean what the
// machine means by them, at a tenth of its time.
type (
	boolFact   func(*facts) bool
	stringFact func(*facts) string
	intFact    func(*facts) int
)

// nativeOf makes a function of a checked expression; nil where it has something that only the
// machine knows.
func nativeOf(n ast.Node) any {
	switch n := n.(type) {
	case *ast.StringNode:
		return stringFact(func(*facts) string { return n.Value })
	case *ast.IntegerNode:
		return intFact(func(*facts) int { return n.Value })
	case *ast.BoolNode:
		return boolFact(func(*facts) bool { return n.Value })
	case *ast.IdentifierNode:
		return nativeName(n.Value)
	case *ast.MemberNode:
		base, isName := n.Node.(*ast.IdentifierNode)
		field, isField := n.Property.(*ast.StringNode)
		if isName && isField && !n.Optional {
			return nativeName(base.Value + "." + field.Value)
		}
	case *ast.UnaryNode:
		if is, ok := nativeOf(n.Node).(boolFact); ok && (n.Operator == "not" || n.Operator == "!") {
			return boolFact(func(f *facts) bool { return !is(f) })
		}
	case *ast.BinaryNode:
		return nativeBinary(n)
	case *ast.CallNode:
		return nativeCall(n)
	case *ast.BuiltinNode:
		if text, ok := nativeArgument(n.Arguments); ok && n.Name == "lower" {
			return stringFact(func(f *facts) string { return strings.ToLower(text(f)) })
		}
	}
	return nil
}

// nativeArgument is the one argument of a call, which is a text.
func nativeArgument(args []ast.Node) (stringFact, bool) {
	if len(args) != 1 {
		return nil, false
	}
	text, ok := nativeOf(args[0]).(stringFact)
	return text, ok
}

// nativeName is the function of a name.
func nativeName(name string) any {
	switch name {
	case "client.ip":
		return stringFact((*facts).clientIP)
	case "client.name":
		return stringFact((*facts).clientName)
	case "client.helo":
		return stringFact(func(f *facts) string { return f.origin.Greeting })
	case "listener":
		return stringFact(func(f *facts) string { return f.origin.Listener })
	case "user":
		return stringFact(func(f *facts) string { return f.origin.User })
	case "tls.version":
		return stringFact((*facts).tlsVersion)
	case "tls.cipher":
		return stringFact((*facts).tlsCipher)
	case "sender.address":
		return stringFact(func(f *facts) string { return f.sender.Address })
	case "sender.local":
		return stringFact(func(f *facts) string { return f.sender.Local })
	case "sender.domain":
		return stringFact(func(f *facts) string { return f.sender.Domain })
	case "recipient.address":
		return stringFact(func(f *facts) string { return f.recipient.Address })
	case "recipient.local":
		return stringFact(func(f *facts) string { return f.recipient.Local })
	case "recipient.domain":
		return stringFact(func(f *facts) string { return f.recipient.Domain })
	case "subject":
		return stringFact((*facts).topic)
	case "spf.result":
		return stringFact(func(f *facts) string { return f.message.Verified.SPF })
	case "dkim.result":
		return stringFact(func(f *facts) string { return f.message.Verified.DKIM })
	case "dmarc.result":
		return stringFact(func(f *facts) string { return f.message.Verified.DMARC })
	case "size":
		return intFact(func(f *facts) int { return int(f.message.Size) })
	case "time.hour":
		return intFact(func(f *facts) int { return f.now().Hour() })
	case "time.weekday":
		return stringFact(func(f *facts) string { return f.clock().Weekday })
	}
	return nil
}

func nativeBinary(n *ast.BinaryNode) any {
	switch n.Operator {
	case "in":
		return nativeIn(n)
	case "matches":
		return nativeMatches(n)
	}
	left, right := nativeOf(n.Left), nativeOf(n.Right)
	switch l := left.(type) {
	case boolFact:
		if r, ok := right.(boolFact); ok {
			return nativeLogic(n.Operator, l, r)
		}
	case stringFact:
		if r, ok := right.(stringFact); ok {
			return nativeText(n, l, r)
		}
	case intFact:
		if r, ok := right.(intFact); ok {
			return nativeNumber(n.Operator, l, r)
		}
	}
	return nil
}

func nativeLogic(operator string, l, r boolFact) any {
	switch operator {
	case "and", "&&":
		return boolFact(func(f *facts) bool { return l(f) && r(f) })
	case "or", "||":
		return boolFact(func(f *facts) bool { return l(f) || r(f) })
	}
	return nil
}

func nativeText(n *ast.BinaryNode, l, r stringFact) any {
	constant, isConstant := n.Right.(*ast.StringNode)
	switch n.Operator {
	case "==":
		if isConstant {
			want := constant.Value
			return boolFact(func(f *facts) bool { return l(f) == want })
		}
		return boolFact(func(f *facts) bool { return l(f) == r(f) })
	case "!=":
		return boolFact(func(f *facts) bool { return l(f) != r(f) })
	case "startsWith":
		return boolFact(func(f *facts) bool { return strings.HasPrefix(l(f), r(f)) })
	case "endsWith":
		return boolFact(func(f *facts) bool { return strings.HasSuffix(l(f), r(f)) })
	case "contains":
		return boolFact(func(f *facts) bool { return strings.Contains(l(f), r(f)) })
	case "+":
		return stringFact(func(f *facts) string { return l(f) + r(f) })
	}
	return nil
}

func nativeNumber(operator string, l, r intFact) any {
	switch operator {
	case "==":
		return boolFact(func(f *facts) bool { return l(f) == r(f) })
	case "!=":
		return boolFact(func(f *facts) bool { return l(f) != r(f) })
	case "<":
		return boolFact(func(f *facts) bool { return l(f) < r(f) })
	case "<=":
		return boolFact(func(f *facts) bool { return l(f) <= r(f) })
	case ">":
		return boolFact(func(f *facts) bool { return l(f) > r(f) })
	case ">=":
		return boolFact(func(f *facts) bool { return l(f) >= r(f) })
	}
	return nil
}

// nativeIn is a text among others, or among the tags.
func nativeIn(n *ast.BinaryNode) any {
	text, ok := nativeOf(n.Left).(stringFact)
	if !ok {
		return nil
	}
	switch right := n.Right.(type) {
	case *ast.ConstantNode:
		if set, ok := right.Value.(map[string]struct{}); ok {
			return boolFact(func(f *facts) bool { _, is := set[text(f)]; return is })
		}
	case *ast.IdentifierNode:
		if right.Value == "tags" {
			return boolFact(func(f *facts) bool { return slices.Contains(f.tags, text(f)) })
		}
	}
	return nil
}

// nativeMatches is a text and a regular expression that is written out.
func nativeMatches(n *ast.BinaryNode) any {
	text, isText := nativeOf(n.Left).(stringFact)
	pattern, isConstant := n.Right.(*ast.StringNode)
	if !isText || !isConstant {
		return nil
	}
	expression, err := regexp.Compile(pattern.Value)
	if err != nil {
		return nil
	}
	return boolFact(func(f *facts) bool { return expression.MatchString(text(f)) })
}

// nativeCall is a call of one of our functions.
func nativeCall(n *ast.CallNode) any {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || len(n.Arguments) == 0 {
		return nil
	}
	if callee.Value == "mb" {
		if count, ok := n.Arguments[0].(*ast.IntegerNode); ok {
			return intFact(func(*facts) int { return count.Value * 1e6 })
		}
	}
	text, ok := nativeOf(n.Arguments[0]).(stringFact)
	if !ok {
		return nil
	}
	switch callee.Value {
	case "header":
		return stringFact(func(f *facts) string { return f.header(text(f)) })
	case "domainIn":
		if names, ok := constants(n.Arguments[1:]); ok {
			return boolFact(func(f *facts) bool { return domainIn(text(f), names) })
		}
	case "glob":
		if s, ok := nativeOf(n.Arguments[1]).(stringFact); ok {
			return boolFact(func(f *facts) bool { return glob(text(f), s(f)) })
		}
	case "cidr", "inFile", "rate":
		return nativeReady(n, text)
	}
	return nil
}

// nativeReady is a call whose second argument the inspector has made ready.
func nativeReady(n *ast.CallNode, text stringFact) any {
	constant, ok := n.Arguments[1].(*ast.ConstantNode)
	if !ok {
		return nil
	}
	switch value := constant.Value.(type) {
	case []netip.Prefix:
		if n.Arguments[0].String() == "client.ip" {
			return boolFact(func(f *facts) bool { return contains(value, f.clientAddr()) })
		}
		return boolFact(func(f *facts) bool {
			is, err := inNetworks(text(f), value)
			f.fail(err)
			return is
		})
	case *list:
		return boolFact(func(f *facts) bool { return value.has(text(f)) })
	case *meter:
		return boolFact(func(f *facts) bool { return value.over(text(f)) })
	}
	return nil
}

// constants are texts that are written out.
func constants(nodes []ast.Node) (texts []string, ok bool) {
	for _, n := range nodes {
		text, ok := n.(*ast.StringNode)
		if !ok {
			return nil, false
		}
		texts = append(texts, text.Value)
	}
	return texts, true
}
