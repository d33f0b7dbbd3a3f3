package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"postrider/inbound"
)

// greetingTime is how long a listener of ours may take to greet.
const greetingTime = 10 * time.Second

// examinePorts looks whether listeners answer, or, where the relay does not run, whether they could be
// opened.
func (d *doctor) examinePorts(ctx context.Context) {
	for _, l := range d.config.Inbound.Listeners {
		switch {
		case strings.HasSuffix(l.Address, ":0"): // the system chooses
		case d.running:
			d.examineListener(ctx, l)
		case !strings.HasPrefix(l.Address, "unix:"):
			d.examineAddress(l)
		}
	}
}

// examineListener greets one.
func (d *doctor) examineListener(ctx context.Context, l inbound.Listener) {
	const check = "port"
	const advice = "see the relay's log; a firewall on this host may be in the way"
	ctx, cancel := context.WithTimeout(ctx, greetingTime)
	defer cancel()
	network, address := "tcp", l.Address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	} else if host, port, err := net.SplitHostPort(address); err == nil && isAnyHost(host) {
		address = net.JoinHostPort("localhost", port)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		d.fail(check, advice, "%s does not answer at %s: %v", l.Name, l.Address, err)
		return
	}
	defer conn.Close()
	if l.TLS.Mode == inbound.TLSImplicit || len(l.ProxyProtocol) > 0 {
		d.ok(check, "%s is open at %s", l.Name, l.Address) // the client has the first word
		return
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetReadDeadline(deadline)
	line, err := bufio.NewReader(conn).ReadString('\n')
	switch {
	case err != nil:
		d.fail(check, advice, "%s does not greet at %s: %v", l.Name, l.Address, err)
	case !strings.HasPrefix(line, "220"):
		d.warn(check, "see which client or limit it is about", "%s at %s greets with %s", l.Name, l.Address, strings.TrimSpace(line))
	default:
		d.ok(check, "%s greets at %s", l.Name, l.Address)
	}
}

func isAnyHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

// examineAddress opens an address for a moment.
func (d *doctor) examineAddress(l inbound.Listener) {
	const check = "port"
	listener, err := net.Listen("tcp", l.Address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		d.fail(check, "end whatever listens there, often another mail server: ss -ltnp shows it", "%s: %s is taken", l.Name, l.Address)
	case errors.Is(err, syscall.EACCES):
		d.warn(check, "fine with postrider.socket; else give the service CAP_NET_BIND_SERVICE, or take a port from 1024 on", "%s: %s wants privileges", l.Name, l.Address)
	case err != nil:
		d.fail(check, "name an address of this host", "%s: %v", l.Name, err)
	default:
		d.ok(check, "%s: %s is free", l.Name, l.Address)
		_ = listener.Close() // nothing was taken
	}
}
