package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"postrider/inbound"
)

// inherited are the sockets that a service manager keeps for us (sd_listen_fds(3)), by the
// name of the listener that is to serve them. The environment that says so is taken away, for
// it is about this process only.
func inherited(listeners []inbound.Listener) (map[string]net.Listener, error) {
	bound := make(map[string]net.Listener)
	var faults []error
	for _, f := range activation.Files(true) {
		l, name, err := adopt(f, listeners, bound)
		if err != nil {
			faults = append(faults, fmt.Errorf("socket %q of the service manager: %w", f.Name(), err))
			continue
		}
		bound[name] = l
	}
	if len(faults) > 0 {
		for _, l := range bound {
			faults = append(faults, l.Close())
		}
		return nil, errors.Join(faults...)
	}
	return bound, nil
}

// adopt makes a listener of the file, which is closed, and finds whose it is: the one of its
// name (FileDescriptorName=), else the one of its address. Of several sockets with a name,
// which a .socket unit with several addresses gives, each has its address to go by.
func adopt(f *os.File, listeners []inbound.Listener, taken map[string]net.Listener) (net.Listener, string, error) {
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, "", err
	}
	at := l.Addr().String()
	for _, same := range []func(inbound.Listener) bool{
		func(o inbound.Listener) bool { return sameAddress(o.Address, l.Addr()) },
		func(o inbound.Listener) bool { return o.Name == f.Name() },
	} {
		for _, o := range listeners {
			if taken[o.Name] == nil && same(o) {
				return l, o.Name, nil
			}
		}
	}
	return nil, "", errors.Join(fmt.Errorf("no listener has the name %q or the address %s", f.Name(), at), l.Close())
}

// sameAddress says whether a configured address is the one that is bound. All addresses of
// the machine are one, whichever way they are written.
func sameAddress(configured string, bound net.Addr) bool {
	if path, ok := strings.CutPrefix(configured, "unix:"); ok {
		return bound.Network() == "unix" && bound.String() == path
	}
	tcp, ok := bound.(*net.TCPAddr)
	if !ok {
		return false
	}
	want, err := net.ResolveTCPAddr("tcp", configured)
	if err != nil || want.Port != tcp.Port || want.Port == 0 {
		return false
	}
	every := func(ip net.IP) bool { return ip == nil || ip.IsUnspecified() }
	return want.IP.Equal(tcp.IP) || every(want.IP) && every(tcp.IP)
}
