package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"postrider/integration"
)

// server is what is measured. All kinds are started afresh for each measurement, inside
// the control group, with their data on the same file system.
type server interface {
	Start(ctx context.Context) error
	Stop() (int, error)
	Addr() string
}

const (
	postfix   = "postfix"
	exim      = "exim"
	postrider = "postrider"
)

func serverNames() []string { return []string{postfix, exim, postrider} }

// setting is what a case wants of a server.
type setting struct {
	// next is where mail goes, but for that of the domains that have a next hop of their own.
	next  string
	other map[string]string
	// tls has the server offer STARTTLS, queued says that it takes in mail for later, and connections bounds those to
	// the next hop.
	tls, queued bool
	connections int
	prepare     func(*exec.Cmd)
}

// newServer makes a server with its data in a folder of its own.
func (b *bench) newServer(name string, s setting) (server, error) {
	dir := b.serverDir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	cert, key, err := integration.WriteCertificate(dir)
	if err != nil {
		return nil, err
	}
	switch name {
	case postfix:
		return s.postfix(dir, cert, key)
	case exim:
		return s.exim(dir, cert, key)
	}
	return s.postrider(b.binary, dir, cert, key)
}

func (b *bench) serverDir(name string) string {
	return filepath.Join(b.disk.Dir, fmt.Sprintf("%s-%d", name, b.serial))
}

func (s setting) postfix(dir, cert, key string) (server, error) {
	extra := integration.PostfixTuned
	if s.tls {
		extra += fmt.Sprintf("smtpd_tls_cert_file = %s\nsmtpd_tls_key_file = %s\nsmtpd_tls_security_level = may\n", cert, key)
	}
	if s.connections > 0 {
		extra += fmt.Sprintf("smtp_destination_concurrency_limit = %d\nrelay_destination_concurrency_limit = %[1]d\n", s.connections)
	}
	if len(s.other) > 0 {
		var entries []string
		for domain, hop := range s.other {
			host, port, _ := strings.Cut(hop, ":")
			entries = append(entries, fmt.Sprintf("{ %s = smtp:[%s]:%s }", domain, host, port))
		}
		extra += "transport_maps = inline:{ " + strings.Join(entries, " ") + " }\n"
	}
	p, err := integration.NewPostfix(dir, s.next, extra)
	if err != nil {
		return nil, err
	}
	p.Prepare = s.prepare
	return p, nil
}

func (s setting) exim(dir, cert, key string) (server, error) {
	extra := "tls_advertise_hosts =\n"
	if s.tls {
		extra = fmt.Sprintf("tls_certificate = %s\ntls_privatekey = %s\n", cert, key)
		// Exim reads it when a client says STARTTLS, without root's rights.
		if err := os.Chmod(key, 0o644); err != nil {
			return nil, err
		}
	}
	if s.queued {
		extra += "queue_only = true\n"
	}
	hops := map[string]string{"*": s.next}
	maps.Copy(hops, s.other)
	e, err := integration.NewEximRelay(dir, hops, extra)
	if err != nil {
		return nil, err
	}
	e.Prepare = s.prepare
	return e, nil
}

func (s setting) postrider(binary, dir, cert, key string) (server, error) {
	config := "routes:\n"
	for _, domain := range slices.Sorted(maps.Keys(s.other)) {
		config += fmt.Sprintf("  - {name: %q, when: 'recipient.domain == %q', hosts: [%q]}\n", domain, domain, s.other[domain])
	}
	config += fmt.Sprintf("  - {name: next, hosts: [%q]}\n", s.next)
	if s.connections > 0 {
		config += fmt.Sprintf("delivery: {connections: %d}\n", s.connections)
	}
	r, err := integration.NewRelay(binary, dir, config)
	if err != nil {
		return nil, err
	}
	r.Prepare = s.prepare
	if s.tls {
		err = offerTLS(r.Config, cert, key)
	}
	return r, err
}

// offerTLS gives the only listener of a configuration a certificate.
func offerTLS(config, cert, key string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	const listener = `allow: ["127.0.0.0/8"]}`
	encrypted := strings.Replace(string(text), listener, fmt.Sprintf(`allow: ["127.0.0.0/8"], tls: {cert: %q, key: %q}}`, cert, key), 1)
	if encrypted == string(text) {
		return fmt.Errorf("%s has no listener that looks like %q", config, listener)
	}
	return os.WriteFile(config, []byte(encrypted), 0o600)
}
