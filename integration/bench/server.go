package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"postrider/integration"
)

// server is what is measured. Both kinds are started afresh for each measurement, inside
// the control group, with their data on the same file system.
type server interface {
	Start(ctx context.Context) error
	Stop() (int, error)
	Addr() string
}

const (
	postfix   = "postfix"
	postrider = "postrider"
)

func serverNames() []string { return []string{postfix, postrider} }

// newServer makes a server that sends all mail to the next hop, and offers STARTTLS if
// that is wanted.
func (b *bench) newServer(name, nextHop string, tls bool, prepare func(*exec.Cmd)) (server, error) {
	dir := filepath.Join(b.disk.Dir, fmt.Sprintf("%s-%d", name, b.serial))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	cert, key, err := integration.WriteCertificate(dir)
	if err != nil {
		return nil, err
	}
	if name == postfix {
		extra := integration.PostfixTuned
		if tls {
			extra += fmt.Sprintf("smtpd_tls_cert_file = %s\nsmtpd_tls_key_file = %s\nsmtpd_tls_security_level = may\n", cert, key)
		}
		p, err := integration.NewPostfix(dir, nextHop, extra)
		if err != nil {
			return nil, err
		}
		p.Prepare = prepare
		return p, nil
	}
	config := fmt.Sprintf("routes:\n  - {name: next, hosts: [%q]}\n", nextHop)
	r, err := integration.NewRelay(b.binary, dir, config)
	if err != nil {
		return nil, err
	}
	r.Prepare = prepare
	if tls {
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
