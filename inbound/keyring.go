package inbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"postrider/inbound/auth"
	"postrider/relay"
)

// TLSMode says when a listener's sessions are encrypted.
type TLSMode string

// The TLS modes. The empty mode is TLSStartTLS where a certificate is given, else TLSNone.
const (
	TLSNone     TLSMode = "none"
	TLSStartTLS TLSMode = "starttls"
	TLSImplicit TLSMode = "implicit"
)

// TLSOptions are how a listener encrypts. Files are PEM, and are read again when they change.
type TLSOptions struct {
	// Certificates are chosen from by the name that the client asks for; the first is for
	// those that ask for none or another.
	Certificates []Certificate
	// ClientCA has the authorities whose certificates identify clients, "" for none.
	ClientCA string
	// ClientSubjects are whom those certificates identify: the name in a certificate, or its
	// whole distinguished name (RFC 4514). All where there are none.
	ClientSubjects []string
	Mode           TLSMode
}

// Certificate names a certificate chain and its key.
type Certificate struct{ CertFile, KeyFile string }

// keyringRest is how long the files are not looked at again.
const keyringRest = time.Second

// keyring has a listener's certificates as its files have them now. A change that cannot
// be read leaves what was before.
type keyring struct {
	options TLSOptions
	// now and fault are set where the keyring is kept for longer than a look.
	now   func() time.Time
	fault func(error)

	mu      sync.Mutex
	looked  time.Time
	stamps  []stamp
	pairs   []tls.Certificate
	clients *x509.CertPool
}

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// newKeyring reads the files. It is nil for TLSNone.
func newKeyring(o TLSOptions) (*keyring, error) {
	switch o.mode() {
	case TLSNone:
		return nil, nil
	case TLSStartTLS, TLSImplicit:
	default:
		return nil, fmt.Errorf("TLS mode %q: must be none, starttls or implicit", o.Mode)
	}
	if len(o.ClientSubjects) > 0 && o.ClientCA == "" {
		return nil, errors.New("subjects of clients need the authorities of their certificates")
	}
	if len(o.Certificates) == 0 {
		return nil, fmt.Errorf("TLS mode %s needs a certificate and a key", o.mode())
	}
	k := &keyring{options: o}
	k.stamps = k.stat()
	return k, k.load()
}

// mode is the TLS mode with its default filled in.
func (o TLSOptions) mode() TLSMode {
	switch {
	case o.Mode != "":
		return o.Mode
	case len(o.Certificates) > 0:
		return TLSStartTLS
	}
	return TLSNone
}

// stat looks at the files. One that is not there has the zero stamp.
func (k *keyring) stat() []stamp {
	files := []string{k.options.ClientCA}
	for _, c := range k.options.Certificates {
		files = append(files, c.CertFile, c.KeyFile)
	}
	stamps := make([]stamp, len(files))
	for i, file := range files {
		if info, err := os.Stat(file); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// load reads the files and takes them all or none.
func (k *keyring) load() error {
	var faults []error
	var pairs []tls.Certificate
	for _, c := range k.options.Certificates {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			faults = append(faults, fmt.Errorf("load the certificate %s with the key %s: %w", c.CertFile, c.KeyFile, err))
		}
		pairs = append(pairs, pair)
	}
	clients, err := loadAuthorities(k.options.ClientCA)
	if err := errors.Join(append(faults, err)...); err != nil {
		return err
	}
	k.pairs, k.clients = pairs, clients
	return nil
}

func loadAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load the authorities of clients: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("load the authorities of clients: %s has no certificate", file)
	}
	return pool, nil
}

// config is the configuration of a listener's sessions. Session tickets are of keys of
// its own, so that a session of one listener is never resumed at another.
func (k *keyring) config(p Profile) *tls.Config {
	// RFC 8996 retires what came before TLS 1.2.
	c := &tls.Config{GetCertificate: k.choose, MinVersion: tls.VersionTLS12}
	if k.options.ClientCA != "" {
		// A certificate of other authorities is no fault: identify looks at it.
		c.ClientAuth = tls.RequestClientCert
	}
	if p == ProfileLegacy {
		c.MinVersion = tls.VersionTLS10
		for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
			if !strings.Contains(suite.Name, "RC4") {
				c.CipherSuites = append(c.CipherSuites, suite.ID)
			}
		}
	}
	return c
}

// choose finds the certificate for a handshake.
func (k *keyring) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh()
	for i := range k.pairs {
		if hello.SupportsCertificate(&k.pairs[i]) == nil {
			return &k.pairs[i], nil
		}
	}
	return &k.pairs[0], nil
}

// refresh reads the files again if they have changed.
func (k *keyring) refresh() {
	now := k.now()
	if now.Sub(k.looked) < keyringRest {
		return
	}
	k.looked = now
	stamps := k.stat()
	if slices.Equal(stamps, k.stamps) {
		return
	}
	k.stamps = stamps
	if err := k.load(); err != nil {
		k.fault(err)
	}
}

// reload reads the files, whatever is known of them. Broken ones leave all as it was.
func (k *keyring) reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stamps = k.stat()
	return k.load()
}

// identify gives the name in a client's certificate, "" if there is none that we can trust.
func (k *keyring) identify(chain []*x509.Certificate) string {
	k.mu.Lock()
	clients := k.clients
	k.mu.Unlock()
	if len(chain) == 0 || clients == nil {
		return ""
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	leaf := chain[0]
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: clients, Intermediates: between, CurrentTime: k.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return ""
	}
	name := nameIn(leaf)
	allowed := k.options.ClientSubjects
	if len(allowed) > 0 && !slices.Contains(allowed, name) && !slices.Contains(allowed, leaf.Subject.String()) {
		return ""
	}
	return name
}

// nameIn is the subject's common name, else the first mail address, else the first host
// name. One that no user may have is none: it will be in logs and rules.
func nameIn(c *x509.Certificate) string {
	for _, name := range slices.Concat([]string{c.Subject.CommonName}, c.EmailAddresses, c.DNSNames) {
		if name == "" {
			continue
		}
		if !auth.IsName(name) {
			return ""
		}
		return name
	}
	return ""
}

// describeTLS gives the text of relay.Origin.TLS.
func describeTLS(state tls.ConnectionState) string {
	version := strings.Replace(tls.VersionName(state.Version), "TLS ", "TLSv", 1)
	return version + ", " + tls.CipherSuiteName(state.CipherSuite)
}

// keepKeyring is newKeyring for as long as the server runs.
func (s *Server) keepKeyring(l Listener) (*keyring, error) {
	k, err := newKeyring(l.TLS)
	if k != nil {
		k.now = s.options.Now
		k.fault = func(err error) {
			s.options.Observer.Faulted(relay.Fault{Doing: "read the certificates of " + l.Name + " again", Err: err})
		}
	}
	return k, err
}
