package outbound

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postrider/relay"
)

// The bounds of how long a site stands before it is resolved again, whatever DNS says.
const (
	siteMin = time.Minute
	siteMax = time.Hour
)

// maxAddresses is how many addresses one Dial tries.
const maxAddresses = 5

// hostSet is what a relay.Site means to the Transport: hosts in order of preference and how
// to speak with them.
type hostSet struct {
	route *Route
	hosts []hostAddrs
	// domain is that of the recipients by MX; "" for smart hosts and literals. Where destinations
	// share a site it is that of one of them.
	domain string
	// ways are those of the destination where it has several, and at is the one that the set is of.
	ways []way
	at   int
}

// hostAddrs is one host. Hosts of equal preference are tried in random order.
type hostAddrs struct {
	name       string
	port       uint16
	preference uint16
	addrs      []netip.Addr
}

// site makes the relay's view of a host set. The key has everything that a connection's
// identity depends on, and no secret (conformance T17).
func (s *hostSet) site(now, expires time.Time) *relay.Site {
	var names, hosts []string
	for _, h := range s.hosts {
		names = append(names, h.name)
		if h.port == 0 {
			hosts = append(hosts, h.name) // a socket
		} else {
			hosts = append(hosts, fmt.Sprintf("%s:%d", h.name, h.port))
		}
	}
	slices.Sort(hosts)
	key := strings.Join(slices.Compact(hosts), ",") + " tls=" + s.route.proof()
	if !s.route.MX {
		key += " smart" // the operator vouches for the host: what is asked of it is not what a host by MX has to prove
	}
	if s.route.LMTP {
		key += " lmtp"
	}
	if s.route.Auth != nil {
		key += " user=" + s.route.Auth.User
		if s.route.login > 0 {
			key += fmt.Sprintf(" login=%d", s.route.login+1)
		}
		if s.route.PlainAuth {
			key += " plain"
		}
	}
	key += s.route.identity()
	earliest, latest := now.Add(siteMin), now.Add(siteMax)
	if expires.Before(earliest) {
		expires = earliest
	}
	if expires.After(latest) {
		expires = latest
	}
	from := ""
	if s.route.Source.IsValid() {
		from = s.route.Source.String()
	}
	return &relay.Site{
		Key: key, Source: from, Expires: expires, Connections: s.route.Connections,
		Rates: s.route.Rates, Names: names, Smart: !s.route.MX, Hosts: s,
	}
}

// remote is one address of one host.
type remote struct {
	name       string
	addr       netip.AddrPort
	preference uint16
	// domain is that of the set.
	domain string
}

// String gives the form that replies and logs show: mx.example[192.0.2.1]:25.
func (r remote) String() string {
	if r.isSocket() {
		return r.name
	}
	if r.name == r.addr.Addr().String() {
		return fmt.Sprintf("[%s]:%d", r.name, r.addr.Port())
	}
	return fmt.Sprintf("%s[%s]:%d", r.name, r.addr.Addr(), r.addr.Port())
}

// remotes are the addresses of all hosts that can be used by the route.
func (s *hostSet) remotes() []remote {
	var all []remote
	for _, h := range s.hosts {
		all = append(all, s.remotesOf(h)...)
	}
	return all
}

// remotesOf are those of one host, the address families in turn.
func (s *hostSet) remotesOf(h hostAddrs) []remote {
	var all []remote
	for _, addr := range alternate(h.addrs) {
		if from := s.route.Source; from.IsValid() && from.Unmap().Is4() != addr.Is4() {
			continue
		}
		all = append(all, remote{h.name, netip.AddrPortFrom(addr, h.port), h.preference, s.domain})
	}
	return all
}

// order lists the addresses that a Dial tries: hosts by preference and shuffled within it
// (RFC 5321 section 5.1), and those that are to be left for last after all the others.
func (s *hostSet) order(rand func(n int) int, last func(remote) bool) []remote {
	hosts := slices.Clone(s.hosts)
	shuffle(hosts, rand)
	slices.SortStableFunc(hosts, func(a, b hostAddrs) int { return int(a.preference) - int(b.preference) })
	var list, late []remote
	for _, h := range hosts {
		for _, to := range s.remotesOf(h) {
			if last(to) {
				late = append(late, to)
			} else {
				list = append(list, to)
			}
		}
	}
	list = choose(list, maxAddresses)
	return append(list, choose(late, maxAddresses-len(list))...)
}

func shuffle[T any](list []T, rand func(n int) int) {
	for i := len(list) - 1; i > 0; i-- {
		j := rand(i + 1)
		list[i], list[j] = list[j], list[i]
	}
}

// alternate puts addresses of the two families in turn, IPv6 first (RFC 6724).
func alternate(addrs []netip.Addr) []netip.Addr {
	var four, six []netip.Addr
	for _, a := range addrs {
		if a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	var list []netip.Addr
	for i := range max(len(four), len(six)) {
		if i < len(six) {
			list = append(list, six[i])
		}
		if i < len(four) {
			list = append(list, four[i])
		}
	}
	return list
}

// choose cuts the list to n addresses, in order: one of each preference as far as there is
// room, and both families where both exist, so that the loss of one is no loss of mail.
func choose(list []remote, n int) []remote {
	if n <= 0 || len(list) <= n {
		return list[:min(len(list), max(n, 0))]
	}
	chosen := make([]bool, len(list))
	count := 0
	take := func(most int, want func(i int) bool) {
		for i := range list {
			if count < most && !chosen[i] && want(i) {
				chosen[i] = true
				count++
			}
		}
	}
	take(1, func(i int) bool { return true })
	four := list[0].addr.Addr().Is4()
	take(n-1, func(i int) bool { return list[i].preference != list[i-1].preference })
	take(n, func(i int) bool { return list[i].addr.Addr().Is4() != four && !anyOther(list, chosen, four) })
	take(n, func(int) bool { return true })
	var short []remote
	for i, r := range list {
		if chosen[i] {
			short = append(short, r)
		}
	}
	return short
}

// anyOther says whether an address of the other family has been chosen.
func anyOther(list []remote, chosen []bool, four bool) bool {
	for i, r := range list {
		if chosen[i] && r.addr.Addr().Is4() != four {
			return true
		}
	}
	return false
}
