package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"postrider/relay"
)

// program is a compiled expression. Most are plain enough to be run as Go functions; the
// machine runs the others.
type program struct {
	bool   boolFact
	string stringFact
	code   *vm.Program
	// names are what the machine has to know.
	names names
	// meters are those that the expression asks.
	meters []*meter
}

// countFor has the expression's rates count for a rule alone: what one rule counts is not taken
// from another, nor by a dry one from any.
func (p *program) countFor(rule string) {
	if p == nil {
		return
	}
	for _, m := range p.meters {
		m.name = rule + "\x00" + m.rate.String() + "\x00"
	}
}

// test runs a condition. After a failure, which the facts keep, what it says does not count.
func (p *program) test(f *facts) bool {
	if p.bool != nil {
		return p.bool(f)
	}
	is, ok := p.run(f).(bool)
	if !ok && f.err == nil {
		f.fail(errors.New("neither true nor false"))
	}
	return is
}

// text runs an expression that gives a text.
func (p *program) text(f *facts) string {
	if p.string != nil {
		return p.string(f)
	}
	text, ok := p.run(f).(string)
	if !ok && f.err == nil {
		f.fail(errors.New("not a text"))
	}
	return text
}

// run has the machine run the expression. A panic inside is an error: expr sees to that.
func (p *program) run(f *facts) any {
	f.fill(p.names)
	if f.err != nil {
		return nil
	}
	value, err := f.vm.Run(p.code, &f.machine)
	if err != nil {
		f.fail(err)
	}
	return value
}

// always is the condition that is always true.
func always() *program { return &program{bool: func(*facts) bool { return true }} }

// compileTest checks a condition against what is known at the stage. The error is a FieldError
// with the place, whose path the caller fills in.
func (p *Policy) compileTest(text string, at stage) (*program, error) {
	if text == "" {
		return always(), nil
	}
	return p.compile(text, at, expr.AsBool())
}

// compileText is compileTest for an expression that gives a text; "" gives "".
func (p *Policy) compileText(text string, at stage) (*program, error) {
	if text == "" {
		return &program{string: func(*facts) string { return "" }}, nil
	}
	return p.compile(text, at, asText())
}

func (p *Policy) compile(text string, at stage, kind expr.Option) (*program, error) {
	i := &inspector{policy: p, at: at}
	options := append(p.functions(), expr.Env(environment{}), kind, expr.WarnOnAny(), expr.Patch(i))
	code, err := expr.Compile(text, options...)
	i.operand(i.last)
	if i.fault != nil {
		err = i.fault.Bind(file.NewSource(text))
	}
	var place *file.Error
	switch {
	case errors.As(err, &place):
		return nil, &FieldError{Line: place.Line, Column: place.Column + 1, Err: errors.New(inOurWords(place.Message))}
	case err != nil:
		return nil, &FieldError{Err: err}
	}
	made := &program{code: code, names: i.names, meters: i.meters}
	switch native := nativeOf(code.Node()).(type) {
	case boolFact:
		made.bool = native
	case stringFact:
		made.string = native
	}
	return made, nil
}

// inOurWords is what the expression language says, with a hint for those who are new to it. Our
// types have no package in a configuration.
func inOurWords(message string) string {
	for sign, hint := range map[string]string{
		`Operator("=")`: `== compares`, `Identifier("AND")`: `the word is and`, `Identifier("OR")`: `the word is or`,
	} {
		if message == "unexpected token "+sign {
			return message + ": " + hint
		}
	}
	return strings.ReplaceAll(message, "type policy.", "")
}

// inspector refuses what has no value at the stage, and has what is written out in a call made
// ready when the condition is compiled rather than when it is asked.
type inspector struct {
	policy *Policy
	at     stage
	names  names
	meters []*meter
	// last is the node that was seen last, in the end the whole expression.
	last  ast.Node
	fault *file.Error
}

// Visit sees every node of the expression once.
func (i *inspector) Visit(node *ast.Node) {
	i.last = *node
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		i.name(n, n.Value)
	case *ast.MemberNode:
		base, isName := n.Node.(*ast.IdentifierNode)
		field, isField := n.Property.(*ast.StringNode)
		if isName && isField {
			i.name(base, base.Value+"."+field.Value)
		}
	case *ast.UnaryNode:
		i.operand(n.Node)
	case *ast.BinaryNode:
		i.operand(n.Left)
		i.operand(n.Right)
		i.compare(n)
	case *ast.CallNode:
		i.call(n)
	}
}

func (i *inspector) call(n *ast.CallNode) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return
	}
	switch callee.Value {
	case "cidr":
		i.networks(n)
	case "domainIn":
		fold(n.Arguments...)
	case "inFile":
		i.list(n)
	case "rate":
		i.meter(n)
	}
}

func (i *inspector) name(n ast.Node, name string) {
	if name == "$env" {
		i.fail(n, errors.New("unknown name $env"))
		return
	}
	if err := checkKnown(name, i.at); err != nil {
		i.fail(n, err)
	}
	i.names |= namesOf(name)
}

// operand refuses a name that has fields and is no value itself, such as tls: nothing equals it.
func (i *inspector) operand(n ast.Node) {
	name, ok := n.(*ast.IdentifierNode)
	if !ok {
		return
	}
	fields := fieldsOf(name.Value)
	if len(fields) == 0 {
		return
	}
	for k, field := range fields {
		fields[k] = name.Value + "." + field
	}
	how := ""
	if name.Value == "tls" {
		how = `; without TLS it is tls.version == ""`
	}
	i.fail(n, fmt.Errorf("%s is not one value: write %s%s", name.Value, strings.Join(fields, " or "), how))
}

// compare has domains that are written out, beside one that is not, in the form in which they are compared.
func (i *inspector) compare(n *ast.BinaryNode) {
	if n.Operator == "matches" {
		return // a pattern is what it is
	}
	if isDomain(n.Left) {
		fold(n.Right)
	}
	if isDomain(n.Right) {
		fold(n.Left)
	}
}

// isDomain says that the expression is a domain, or ends with one.
func isDomain(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.MemberNode:
		field, ok := n.Property.(*ast.StringNode)
		if !ok {
			return false
		}
		base, _ := n.Node.(*ast.IdentifierNode)
		return field.Value == "domain" || field.Value == "address" || base != nil && base.Value == "client" && field.Value == "name"
	case *ast.BuiltinNode:
		return n.Name == "lower" && len(n.Arguments) == 1 && isDomain(n.Arguments[0])
	}
	return false
}

func fold(nodes ...ast.Node) {
	for _, n := range nodes {
		switch n := n.(type) {
		case *ast.StringNode:
			n.Value = folded(n.Value)
		case *ast.ArrayNode:
			fold(n.Nodes...)
		}
	}
}

// networks turns cidr(ip, "a", "b") into cidr(ip, [a b]).
func (i *inspector) networks(n *ast.CallNode) {
	if len(n.Arguments) < 2 {
		i.fail(n, errors.New(`cidr wants an address and networks, as in cidr(client.ip, "192.0.2.0/24")`))
		return
	}
	var networks []netip.Prefix
	for _, arg := range n.Arguments[1:] {
		text, ok := arg.(*ast.StringNode)
		if !ok {
			i.fail(arg, errors.New(`cidr wants its networks in quotes, as in "192.0.2.0/24"`))
			return
		}
		network, err := ParseNetwork(text.Value)
		if err != nil {
			i.fail(arg, err)
			return
		}
		networks = append(networks, network)
	}
	replaceRest(n, networks)
}

// list turns inFile(value, "name") into inFile(value, the list).
func (i *inspector) list(n *ast.CallNode) {
	const how = `inFile wants a value and a file, as in inFile(sender.address, "lists/partners")`
	if len(n.Arguments) != 2 {
		i.fail(n, errors.New(how))
		return
	}
	name, ok := n.Arguments[1].(*ast.StringNode)
	if !ok {
		i.fail(n.Arguments[1], errors.New("inFile wants the file's name in quotes"))
		return
	}
	l, err := i.policy.list(name.Value)
	if err != nil {
		i.fail(name, err)
		return
	}
	replaceRest(n, l)
}

// meter turns rate(key, 100, "1h") into rate(key, the meter).
func (i *inspector) meter(n *ast.CallNode) {
	const how = `rate wants a key, a number and a time, as in rate(user, 1000, "1h")`
	if len(n.Arguments) != 3 {
		i.fail(n, errors.New(how))
		return
	}
	count, isNumber := n.Arguments[1].(*ast.IntegerNode)
	per, isText := n.Arguments[2].(*ast.StringNode)
	if !isNumber || !isText || count.Value < 1 {
		i.fail(n.Arguments[1], errors.New(how))
		return
	}
	r, err := relay.ParseRate(fmt.Sprintf("%d/%s", count.Value, per.Value))
	if err != nil {
		i.fail(per, fmt.Errorf("%q is not a time such as 1m, 1h or 1d", per.Value))
		return
	}
	m := &meter{rate: r, meters: i.policy.meters, now: func() time.Time { return i.policy.now() }}
	i.meters = append(i.meters, m)
	replaceRest(n, m)
}

// replaceRest puts one value in place of all arguments but the first.
func replaceRest(n *ast.CallNode, value any) {
	constant := &ast.ConstantNode{Value: value}
	constant.SetLocation(n.Arguments[1].Location())
	n.Arguments = []ast.Node{n.Arguments[0], constant}
}

// fail keeps the first fault.
func (i *inspector) fail(n ast.Node, err error) {
	if i.fault == nil {
		i.fault = &file.Error{Location: n.Location(), Message: err.Error()}
	}
}

// ParseNetwork reads a network such as 192.0.2.0/24, or a single address.
func ParseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil || network.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is not a network such as 192.0.2.0/24, 2001:db8::/32 or a single address", text)
	}
	return network, nil
}
