package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"postrider/relay/admin"
)

func (d *doctor) examineDaemon(ctx context.Context) {
	if !d.running {
		d.warn("relay", "start it: postrider serve", "nobody answers at %s", d.config.Admin.Socket)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	if err := admin.NewClient(d.config.Admin.Socket).Health(ctx); err != nil {
		d.fail("relay", "see its log; start it again if this lasts", "it answers, and does not move: %v", err)
		return
	}
	d.ok("relay", "it runs and moves")
}

// examineName looks our name up, and its addresses back: hosts that are greeted with a name that
// leads nowhere take it for spam.
func (d *doctor) examineName(ctx context.Context) {
	const check = "name"
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	resolver := newDNS(d.config.Outbound.DNS)
	name := strings.TrimSuffix(d.config.Hostname, ".")
	addrs, err := resolver.LookupNetIP(ctx, "ip", name+".")
	if err != nil {
		d.warn(check, "publish an address for it, or set hostname to a name that has one", "%s cannot be looked up: %v", name, err)
		return
	}
	for _, addr := range addrs {
		addr = addr.Unmap()
		if addr.IsLoopback() || addr.IsPrivate() {
			d.warn(check, "fine behind a relay of yours; hosts on the Internet want a public one", "%s is %s, which is not public", name, addr)
			continue
		}
		back, err := resolver.LookupAddr(ctx, addr.String())
		switch {
		case err != nil:
			d.warn(check, "have whoever gave you the address publish a PTR record with the name", "%s is %s, which has no name: %v", name, addr, err)
		case !slices.ContainsFunc(back, func(n string) bool { return strings.EqualFold(strings.TrimSuffix(n, "."), name) }):
			d.warn(check, "make the PTR record and hostname the same", "%s is %s, and that is %s", name, addr, strings.Join(back, ", "))
		default:
			d.ok(check, "%s is %s, and that is %s", name, addr, name)
		}
	}
}

// buildTime is when the program was made; zero where that is not known.
func buildTime() (built time.Time) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return built
	}
	for _, s := range info.Settings {
		if at, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
			built = at
		}
	}
	return built
}

// examineClock finds a clock that is before the program was made; it asks nobody.
func (d *doctor) examineClock(built time.Time) {
	now := d.now()
	if now.Before(built) {
		d.fail("clock", "set the clock, and keep it so with NTP", "it is %s here, and this program is of %s", now.Format(time.RFC3339), built.Format(time.RFC3339))
		return
	}
	d.ok("clock", "%s", now.UTC().Format(time.RFC3339))
}

const (
	// syncs is how often a sync is timed, and syncSlow what is slow for one.
	syncs    = 20
	syncSlow = 20 * time.Millisecond
)

// examineDisk looks at the room where the spool is, and at how long a sync takes there.
func (d *doctor) examineDisk() {
	const check = "disk"
	dir := d.config.Data
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); errors.Is(err, os.ErrNotExist) {
		d.warn(check, "it is made at the first start", "%s does not exist", dir)
		return
	} else if err != nil {
		d.fail(check, "let the relay's user reach it", "%v", err)
		return
	}
	free, least := int64(fs.Bavail)*fs.Bsize, max(d.config.Spool.MinFree, 0)
	switch text := humanize.Bytes(uint64(max(free, 0))) + " are free at " + dir; {
	case free < least:
		d.fail(check, "make room, or lower limits.min_free: until then new mail is answered 452 4.3.1", "%s, less than limits.min_free", text)
	case free < 4*least:
		d.warn(check, "make room soon", "%s; below %s no mail is taken", text, humanize.Bytes(uint64(least)))
	default:
		d.ok(check, "%s", text)
	}
	median, worst, err := timeSyncs(dir)
	d.judgeSyncs(median, worst, err)
}

// judgeSyncs says what the times of syncs mean.
func (d *doctor) judgeSyncs(median, worst time.Duration, err error) {
	switch {
	case err != nil:
		d.warn("sync", "run the doctor as the relay's user", "cannot be timed: %v", err)
	case median > syncSlow:
		d.warn("sync", "mail is taken as fast as the disk syncs: use an SSD, or a controller with a battery", "takes %v, %v at worst of %d", median, worst, syncs)
	default:
		d.ok("sync", "takes %v, %v at worst of %d", median, worst, syncs)
	}
}

// timeSyncs gives the median and the longest time of a sync of 4 KiB.
func timeSyncs(dir string) (median, worst time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	times := make([]time.Duration, syncs)
	for i := range times {
		began := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		times[i] = time.Since(began).Round(10 * time.Microsecond)
	}
	slices.Sort(times)
	return times[syncs/2], times[syncs-1], nil
}

// expirySoon is when a certificate should have been renewed.
const expirySoon = 14 * 24 * time.Hour

func (d *doctor) examineCertificates() {
	for _, l := range d.config.Inbound.Listeners {
		for _, c := range l.TLS.Certificates {
			d.examineCertificate(l.Name, c.CertFile, c.KeyFile)
		}
	}
}

func (d *doctor) examineCertificate(listener, certFile, keyFile string) {
	const check = "certificate"
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		d.fail(check, "mend the files that the listener names", "%s: %v", listener, err)
		return
	}
	leaf, now := pair.Leaf, d.now()
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	_, chainErr := leaf.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: now})
	until := leaf.NotAfter.Format(time.DateOnly)
	switch {
	case now.After(leaf.NotAfter):
		d.fail(check, "renew it", "%s: %s has expired on %s", listener, certFile, until)
	case now.Before(leaf.NotBefore):
		d.fail(check, "look at the clock", "%s: %s is only good from %s", listener, certFile, leaf.NotBefore.Format(time.DateOnly))
	case leaf.NotAfter.Sub(now) < expirySoon:
		d.warn(check, "renew it; the new files are read by themselves", "%s: %s expires on %s", listener, certFile, until)
	case leaf.VerifyHostname(d.config.Hostname) != nil:
		d.warn(check, "fine if clients know the listener by another name", "%s: %s is for %s, not for %s", listener, certFile, strings.Join(leaf.DNSNames, ", "), d.config.Hostname)
	case chainErr != nil:
		d.warn(check, "fine with an authority of your own; else put the chain into the file", "%s: %s: %v", listener, certFile, chainErr)
	default:
		d.ok(check, "%s: for %s until %s", listener, strings.Join(leaf.DNSNames, ", "), until)
	}
}

// wide are networks that nobody's own clients fill.
func wide(n netip.Prefix) bool {
	return n.Bits() < 8 && n.Addr().Is4() || n.Bits() < 16 && n.Addr().Is6() && !n.Addr().Is4In6()
}
