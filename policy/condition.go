package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// condition is a compiled expression; nil is always true.
type condition = vm.Program

// compile checks an expression against what is known at the stage. The error is a
// FieldError with the place, whose path the caller fills in.
func compile(text string, at stage) (*condition, *FieldError) {
	if text == "" {
		return nil, nil
	}
	i := &inspector{at: at}
	options := append(functions(), expr.Env(environment{}), expr.AsBool(), expr.WarnOnAny(), expr.Patch(i))
	program, err := expr.Compile(text, options...)
	if i.fault != nil {
		err = i.fault.Bind(file.NewSource(text))
	}
	var place *file.Error
	switch {
	case errors.As(err, &place):
		// Our types have no package in a configuration.
		message := strings.ReplaceAll(place.Message, "type policy.", "")
		return nil, &FieldError{Line: place.Line, Column: place.Column + 1, Err: errors.New(message)}
	case err != nil:
		return nil, &FieldError{Err: err}
	}
	return program, nil
}

// inspector refuses what has no value at the stage, and has literal networks parsed when
// the condition is compiled rather than when it is asked.
type inspector struct {
	at    stage
	fault *file.Error
}

// Visit sees every node of the expression once.
func (i *inspector) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		i.name(n, n.Value)
	case *ast.MemberNode:
		base, isName := n.Node.(*ast.IdentifierNode)
		field, isField := n.Property.(*ast.StringNode)
		if isName && isField {
			i.name(base, base.Value+"."+field.Value)
		}
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok && callee.Value == "cidr" {
			i.networks(n)
		}
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
	constant := &ast.ConstantNode{Value: networks}
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
