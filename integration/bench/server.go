package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

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

// newServer makes a server that sends all mail to the next hop.
func (b *bench) newServer(name, nextHop string, prepare func(*exec.Cmd)) (server, error) {
	dir := filepath.Join(b.disk.Dir, fmt.Sprintf("%s-%d", name, b.serial))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if name == postfix {
		p, err := integration.NewPostfix(dir, nextHop, integration.PostfixTuned)
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
	return r, nil
}
