package main

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// convert gives a configuration, and the secrets that it wants, by the name of their file.
func (p *postfix) convert() (text string, secrets map[string]string) {
	var b strings.Builder
	secrets = make(map[string]string)
	b.WriteString("# Made of Postfix's configuration in " + p.dir + " by postrider import postfix.\n")
	if name := p.get("myhostname"); name != "" {
		fmt.Fprintf(&b, "hostname: %q\n", name)
	}
	b.WriteString("data: /var/lib/postrider\n")
	p.listeners(&b)
	p.settings(&b)
	p.routes(&b, secrets)
	p.leftovers(&b)
	return b.String(), secrets
}

// listeners are at port 25 of what inet_interfaces names.
func (p *postfix) listeners(b *strings.Builder) {
	var addresses []string
	for word := range fieldsOf(p.get("inet_interfaces")) {
		switch addr, err := netip.ParseAddr(strings.Trim(word, "[]")); {
		case word == "loopback-only" || word == "localhost":
			addresses = append(addresses, "127.0.0.1:25")
		case err == nil:
			addresses = append(addresses, netip.AddrPortFrom(addr, 25).String())
		case word != "all":
			p.notes = append(p.notes, "inet_interfaces: "+word+" is not an address")
		}
	}
	if len(addresses) == 0 {
		addresses = []string{":25"}
	}
	allow := p.networks()
	tls := ""
	if cert, key := p.get("smtpd_tls_cert_file"), p.get("smtpd_tls_key_file"); cert != "" {
		if key == "" || strings.HasPrefix(key, "$") {
			key = cert
		}
		tls = fmt.Sprintf(", tls: {cert: %q, key: %q, mode: starttls}", cert, key)
	}
	b.WriteString("listen:\n")
	for i, address := range addresses {
		fmt.Fprintf(b, "  - {name: smtp%d, address: %q, allow: [%s]%s}\n", i+1, address, strings.Join(allow, ", "), tls)
	}
}

// networks are who may relay.
func (p *postfix) networks() []string {
	var allow []string
	for word := range fieldsOf(p.get("mynetworks")) {
		bare := strings.NewReplacer("[", "", "]", "").Replace(word)
		prefix, err := netip.ParsePrefix(bare)
		if addr, addrErr := netip.ParseAddr(bare); addrErr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			p.notes = append(p.notes, "mynetworks: "+word+" is not a network; who is in it cannot relay yet")
			continue
		}
		// The v4-mapped networks of Postfix's own defaults are those of IPv4.
		if !prefix.Addr().Is4In6() {
			allow = append(allow, fmt.Sprintf("%q", prefix.Masked()))
		}
	}
	if len(allow) == 0 {
		allow = []string{`"127.0.0.0/8"`, `"::1/128"`}
		if p.get("mynetworks_style") != "host" {
			p.notes = append(p.notes, "mynetworks is not set: only this host may relay; add your networks to allow")
		}
	}
	return allow
}

// settings are numbers and times that have a counterpart.
func (p *postfix) settings(b *strings.Builder) {
	for _, section := range []struct {
		key  string
		rows [][3]string // key, name of Postfix's, unit of a bare number
	}{
		{"limits", [][3]string{
			{"message_size", "message_size_limit", ""}, {"recipients", "smtpd_recipient_limit", ""},
			{"connections_per_client", "smtpd_client_connection_count_limit", ""}, {"hops", "hopcount_limit", ""},
		}},
		{"retry", [][3]string{
			{"first", "minimal_backoff_time", "s"}, {"max", "maximal_backoff_time", "s"}, {"max_age", "maximal_queue_lifetime", "d"},
			{"warn_after", "delay_warning_time", "h"},
		}},
		{"delivery", [][3]string{{"connections", "default_destination_concurrency_limit", ""}}},
	} {
		var rows []string
		for _, row := range section.rows {
			value := p.get(row[1])
			number := strings.TrimRight(value, "smhdw")
			if value == "" || strings.Trim(number, "0123456789") != "" || strings.Trim(number, "0") == "" {
				if value != "" {
					p.used[row[1]] = false
				}
				continue
			}
			if value == number {
				value += row[2]
			}
			if weeks, ok := strings.CutSuffix(value, "w"); ok {
				var n int
				fmt.Sscan(weeks, &n)
				value = fmt.Sprintf("%dd", 7*n)
			}
			rows = append(rows, row[0]+": "+value)
		}
		if len(rows) > 0 {
			fmt.Fprintf(b, "%s: {%s}\n", section.key, strings.Join(rows, ", "))
		}
	}
}

// routes are those of the transport maps, and then the relayhost or the world.
func (p *postfix) routes(b *strings.Builder, secrets map[string]string) {
	passwords := make(map[string]string)
	for spec := range fieldsOf(p.get("smtp_sasl_password_maps")) {
		maps.Copy(passwords, p.table(spec))
	}
	p.get("smtp_sasl_auth_enable")
	level := p.level()
	b.WriteString("routes:\n")
	n, rest := 0, ""
	for spec := range fieldsOf(p.get("transport_maps")) {
		table := p.table(spec)
		for _, pattern := range slices.Sorted(maps.Keys(table)) {
			hop, ok := nextHop(table[pattern])
			if !ok {
				p.notes = append(p.notes, "transport: "+pattern+" "+table[pattern])
				continue
			}
			if pattern == "*" {
				rest = hop
				continue
			}
			n++
			fmt.Fprintf(b, "  - {name: transport%d, when: %s, %s}\n", n, condition(pattern), p.way(fmt.Sprintf("transport%d", n), hop, level, passwords, secrets))
		}
	}
	if rest == "" {
		rest = p.get("relayhost")
	}
	p.used["relayhost"] = true
	name := "relayhost"
	if rest == "" {
		name = "internet"
	}
	fmt.Fprintf(b, "  - {name: %s, %s}\n", name, p.way(name, rest, level, passwords, secrets))
}

// level is the TLS of all hosts, "" for what is the default here.
func (p *postfix) level() string {
	switch level := p.get("smtp_tls_security_level"); level {
	case "encrypt":
		return "encrypt"
	case "verify", "secure":
		return "verify"
	case "", "may", "none":
	default:
		p.notes = append(p.notes, "smtp_tls_security_level = "+level)
	}
	return ""
}

// condition matches a pattern of a transport map: a domain, .domain for those below, or an address.
func condition(pattern string) string {
	pattern = strings.ToLower(pattern)
	if strings.Contains(pattern, "@") {
		return fmt.Sprintf("'recipient.address == %q'", pattern)
	}
	return fmt.Sprintf("'domainIn(recipient.domain, %q)'", pattern)
}

// nextHop reads transport:nexthop; "" is the recipient's own. Other transports than SMTP are not
// known here.
func nextHop(text string) (string, bool) {
	transport, hop, found := strings.Cut(text, ":")
	if !found || transport != "" && transport != "smtp" && transport != "relay" {
		return "", false
	}
	return hop, true
}

// way is where a route leads, and as whom.
func (p *postfix) way(name, hop, level string, passwords, secrets map[string]string) string {
	var way string
	if hop == "" {
		way = "mx: true"
	} else {
		way = fmt.Sprintf("hosts: [%q]", p.host(hop))
	}
	login := passwords[hop]
	if hop != "" && login == "" {
		login = passwords[strings.Trim(strings.SplitN(hop, "]", 2)[0], "[]")]
	}
	if user, password, found := strings.Cut(login, ":"); found {
		secrets[name] = password
		way += fmt.Sprintf(", auth: {user: %q, password: \"${file:secrets/%s}\"}", user, name)
		level = "verify" // credentials go over verified TLS only
	}
	if level != "" {
		way += ", tls: " + level
	}
	return way
}

// host is a next hop as "host:port". Without brackets Postfix looks for the MX hosts of the name.
func (p *postfix) host(hop string) string {
	if !strings.HasPrefix(hop, "[") {
		p.notes = append(p.notes, hop+" has no brackets: Postfix asks for its MX hosts, and here it is a host by itself")
	}
	name, port := strings.TrimPrefix(hop, "["), "25"
	if host, rest, found := strings.Cut(name, "]"); found {
		name = host
		if after, ok := strings.CutPrefix(rest, ":"); ok {
			port = after
		}
	} else if host, after, found := strings.Cut(name, ":"); found {
		name, port = host, after
	}
	switch port {
	case "smtp":
		port = "25"
	case "submission":
		port = "587"
	case "smtps", "submissions":
		port = "465"
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "IPv6:"), "ipv6:")
	return net.JoinHostPort(name, port)
}

// leftovers are what has no counterpart, but for what only Postfix's own files are about.
func (p *postfix) leftovers(b *strings.Builder) {
	own := []string{
		"alias_", "append_dot_", "biff", "command_", "compatibility_", "config_directory", "daemon_", "data_directory", "debug", "default_database",
		"html_", "mail_owner", "mailq_", "manpage_", "meta_", "mydomain", "myorigin", "newaliases_", "queue_directory", "readme_", "sample_", "sendmail_",
		"setgid_", "shlib_", "smtp_tls_session_cache", "smtpd_tls_session_cache", "smtpd_banner", "unknown_local",
	}
	var left []string
	for _, name := range p.order {
		if !p.used[name] && !slices.ContainsFunc(own, func(o string) bool { return strings.HasPrefix(name, o) }) {
			left = append(left, name+" = "+p.values[name])
			if here := counterpart(name); here != "" {
				left = append(left, "  here: "+here)
			}
		}
	}
	if all := append(p.notes, left...); len(all) > 0 {
		b.WriteString("\n# What is not translated, or needs a look:\n")
		for _, line := range all {
			b.WriteString("#   " + strings.ReplaceAll(line, "\n", " ") + "\n")
		}
	}
}

// fieldsOf are the words of a list, which commas or space divide.
func fieldsOf(list string) func(yield func(string) bool) {
	return strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}
