package policy

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/expr-lang/expr"
)

// functions are those that conditions can call, besides expr's own and header.
func functions() []expr.Option {
	return []expr.Option{
		// The networks were parsed by the inspector: a condition is checked once.
		expr.Function("cidr", func(args ...any) (any, error) {
			return inNetworks(args[0].(string), args[1].([]netip.Prefix))
		}, new(func(ip string, networks []netip.Prefix) bool)),
		expr.Function("domainIn", func(args ...any) (any, error) {
			return domainIn(args[0].(string), args[1:]), nil
		}, new(func(domain string, names ...string) bool)),
		expr.Function("glob", func(args ...any) (any, error) {
			return glob(args[0].(string), args[1].(string)), nil
		}, new(func(pattern, s string) bool)),
		expr.Function("mb", func(args ...any) (any, error) {
			return args[0].(int) * 1e6, nil
		}, new(func(n int) int)),
		// A rule means the same whenever it is asked.
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
func domainIn(domain string, names []any) bool {
	for _, n := range names {
		name := n.(string)
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

// glob matches the whole of s, in any case: "*" stands for any text and "?" for one
// character.
func glob(pattern, s string) bool {
	p, t := []rune(strings.ToLower(pattern)), []rune(strings.ToLower(s))
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
