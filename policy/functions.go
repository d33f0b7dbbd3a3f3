package policy

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	"github.com/expr-lang/expr"
)

// asText wants an expression to give a text.
func asText() expr.Option { return expr.AsKind(reflect.String) }

// functions are those that conditions can call, besides expr's own, header and queue. What
// follows their first argument was made ready by the inspector.
func (p *Policy) functions() []expr.Option {
	return []expr.Option{
		expr.Function("cidr", func(args ...any) (any, error) {
			return inNetworks(args[0].(string), args[1].([]netip.Prefix))
		}, new(func(ip string, networks []netip.Prefix) bool)),
		expr.Function("inFile", func(args ...any) (any, error) {
			return args[1].(*list).has(args[0].(string)), nil
		}, new(func(value string, l *list) bool)),
		expr.Function("rate", func(args ...any) (any, error) {
			return args[1].(*meter).over(args[0].(string)), nil
		}, new(func(key string, m *meter) bool)),
		expr.Function("domainIn", func(args ...any) (any, error) {
			names := make([]string, len(args)-1)
			for i, n := range args[1:] {
				names[i] = folded(n.(string))
			}
			return domainIn(args[0].(string), names), nil
		}, new(func(domain string, names ...string) bool)),
		expr.Function("glob", func(args ...any) (any, error) {
			return glob(args[0].(string), args[1].(string)), nil
		}, new(func(pattern, s string) bool)),
		expr.Function("mb", func(args ...any) (any, error) {
			return args[0].(int) * 1e6, nil
		}, new(func(n int) int)),
		// Time is a name: a rule is asked at one moment.
		expr.DisableBuiltin("now"),
	}
}

func inNetworks(ip string, networks []netip.Prefix) (bool, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return false, fmt.Errorf("cidr: %w", err)
	}
	return contains(networks, addr.Unmap()), nil
}

func contains(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// domainIn says whether the domain is one of the names, or below one that is written with
// a leading dot.
func domainIn(domain string, names []string) bool {
	domain = folded(domain)
	for _, name := range names {
		if strings.EqualFold(domain, name) {
			return true
		}
		if strings.HasPrefix(name, ".") && len(domain) > len(name) &&
			strings.EqualFold(domain[len(domain)-len(name):], name) {
			return true
		}
	}
	return false
}

// glob matches the whole of s, in any case and in both forms of a domain: "*" stands for any text and "?" for one
// character.
func glob(pattern, s string) bool {
	p, t := []rune(strings.ToLower(folded(pattern))), []rune(strings.ToLower(folded(s)))
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i++
			j++
		case star >= 0:
			// Let the last star take one character more.
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
